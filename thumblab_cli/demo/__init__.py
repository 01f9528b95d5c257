"""The demo of the lab. It has a lab of its own, and steps from an empty folder to a ranking."""
