"""Code that the pipelines and the scoring service share, because both must compute the same values, byte for byte."""
