"""Bring videos into the lab, from YouTube and from catalogues, and download their thumbnails."""
