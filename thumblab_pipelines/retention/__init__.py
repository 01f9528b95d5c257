"""Delete what the lab may no longer keep. It is deleted from the tables, the image store and the releases."""
