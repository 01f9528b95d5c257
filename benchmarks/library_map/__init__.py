"""Measure library maps on a catalogue of real pictures."""
