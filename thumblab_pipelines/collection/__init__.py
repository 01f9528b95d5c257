"""Bring videos into the lab: YouTube, the training crawl, catalogues, thumbnail downloads."""
