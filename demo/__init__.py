"""A YouTube emulator and synthetic catalogues. With them the lab runs without an API key and without a network."""
