"""Read tables that people and spreadsheets wrote."""
