"""Learn the effect of titles on views from many other channels, as a starting point for a lab with few channels."""
