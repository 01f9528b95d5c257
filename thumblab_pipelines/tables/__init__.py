"""Read tables that people and spreadsheets wrote: rows, cells, and what is wrong with them."""
