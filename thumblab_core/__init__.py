"""Code that both the pipelines and the scoring service use, so that both compute the same values, byte for byte."""
