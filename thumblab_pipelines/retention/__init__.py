"""Delete, in the tables, the image store and the releases, all data that the lab may no longer keep."""
