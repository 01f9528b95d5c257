"""Fine-tune the image encoder together with the ranker, the network that computes scores from vectors."""
