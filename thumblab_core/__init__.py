"""What the pipelines and the service must agree on, byte for byte."""
