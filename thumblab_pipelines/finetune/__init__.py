"""Fine-tune the image encoder together with the ranker."""
