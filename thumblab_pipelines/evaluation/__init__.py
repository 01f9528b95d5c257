"""Evaluate ranking models on held-out pairs of the lab's videos, or on pairs of a catalogue in a separate lab."""
