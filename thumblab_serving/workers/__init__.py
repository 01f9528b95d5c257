"""What the worker processes of one service share: a folder, a cache, and the knowledge of each other's state."""
