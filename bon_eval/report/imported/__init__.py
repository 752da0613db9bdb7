"""The report of an imported run that lacks something: terminal, report.json and CSV files, page."""
