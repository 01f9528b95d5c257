"""The HTTP service that scores thumbnails. Its scorer computes the answers. `thumblab score` can also use the scorer
without the service.
"""
