"""Delete data that the lab may no longer keep from the tables, the image store and the releases."""
