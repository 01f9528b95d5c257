"""The commands that copy a whole lab."""
