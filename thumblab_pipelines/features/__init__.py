"""Compute features of videos: vectors, sub-scores, channel baselines and views at a fixed age."""
