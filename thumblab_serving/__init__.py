"""The HTTP service that scores thumbnails, and the scorer, which `thumblab score` uses without the service."""
