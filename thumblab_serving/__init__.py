"""The HTTP service that scores thumbnails. Its scorer computes the answers. `thumblab score` can use the scorer without
the service.
"""
