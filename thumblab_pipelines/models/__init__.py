"""Model releases: build, promote, register, track."""
