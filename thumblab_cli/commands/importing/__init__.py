"""The commands that read data from files or from YouTube into the lab."""
