"""The code that brings videos into the lab, from YouTube and from catalogues. It also downloads the thumbnails."""
