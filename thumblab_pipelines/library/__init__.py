"""Build, change and search the library index of a niche, and report its status."""
