"""Read the rows and cells of tables that people or spreadsheets wrote, and report the faults of these tables."""
