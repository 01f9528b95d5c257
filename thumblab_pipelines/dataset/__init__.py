"""Training pairs: the corpus, its splits, pairing, leak checks, loading."""
