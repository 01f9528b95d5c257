"""What is computed from a video: vectors, sub-scores, channel baselines, views at a fixed age."""
