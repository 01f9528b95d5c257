"""The code that deletes what the lab may no longer keep, from its tables, its pictures and its releases."""
