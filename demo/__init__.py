"""A YouTube emulator and synthetic catalogues, with which the lab runs without an API key and without a network."""
