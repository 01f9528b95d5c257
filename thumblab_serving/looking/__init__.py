"""Look at the library: find similar thumbnails, and show the facts of a video."""
