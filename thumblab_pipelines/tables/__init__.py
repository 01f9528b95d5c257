"""Read the rows and cells of tables that people or spreadsheets wrote, and report what is wrong in these tables."""
