"""The report of two runs compared, before and after."""
