"""Make training pairs: select the corpus, split it, pair its videos, check the pairs for leaks, and read the pairs."""
