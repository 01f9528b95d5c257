"""Score many thumbnails with one command: read the requests of a folder or a table, and write the results to a table."""
