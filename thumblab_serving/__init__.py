"""The HTTP service that scores thumbnails. The scorer in this package computes the answers. `thumblab score` can also
use the scorer without a running service.
"""
