"""The ranking model as a release holds it, and the conversion of its scores to percentiles and win probabilities."""
