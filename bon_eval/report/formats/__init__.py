"""What is shared by the reports: pages, figures, tables, CSV and JSON."""
