"""Code that the pipelines and the scoring service share. So both compute exactly the same values."""
