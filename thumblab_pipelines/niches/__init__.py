"""What the niches mean for the pipelines: where their videos come from, and what collecting them costs."""
