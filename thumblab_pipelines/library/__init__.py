"""The index of a niche: build, change, search, status."""
