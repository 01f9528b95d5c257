"""Training pairs: the corpus of videos, its splits, the pairs, their leak checks, and reading them back."""
