"""The objects that the worker processes of one service share: a folder, a cache, and the states of the workers."""
