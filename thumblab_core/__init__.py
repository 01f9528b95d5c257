"""Code that the pipelines and the scoring service share, so that they compute exactly the same values."""
