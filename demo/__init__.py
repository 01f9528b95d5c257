"""A YouTube emulator and synthetic catalogues, to run the lab without an API key or a network."""
