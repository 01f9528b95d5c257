"""A YouTube emulator and a synthetic catalogue: the lab with no key and no network."""
