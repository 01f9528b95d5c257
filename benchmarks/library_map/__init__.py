"""Measure library maps on a catalogue of real pictures. A map places similar videos near each other on a plane."""
