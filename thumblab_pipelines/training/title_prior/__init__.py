"""Learn what titles do from the views of many other channels, as a starting point for a lab with few channels."""
