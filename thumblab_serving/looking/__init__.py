"""Look at the library: find similar thumbnails, and show what the lab has of a video."""
