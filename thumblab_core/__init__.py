"""Code that both the pipelines and the scoring service use, so that both compute exactly the same values."""
