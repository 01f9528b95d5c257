"""Collect the videos of a channel, fit a channel adapter on them, evaluate the adapter, and serve it."""
