"""The ranking model: its network, its files in a release, and its scores, percentiles and win probabilities."""
