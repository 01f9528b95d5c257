"""Collect videos from YouTube and from catalogues, and download their thumbnails."""
