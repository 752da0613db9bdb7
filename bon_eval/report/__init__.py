"""An analysis as a terminal table and as files."""
