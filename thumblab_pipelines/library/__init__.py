"""The library index of a niche: build, change, search and report on it."""
