"""Training pairs. The modules select the corpus, split it, pair its videos, check the pairs for leaks and read them."""
