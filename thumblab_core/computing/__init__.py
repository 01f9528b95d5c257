"""How many cores a process computes with, and the settings of a cluster that computes for it."""
