"""The catalogues that the emulator can serve.

One is read from a folder. The synthetic one has drawn pictures, and the vast one is computed on request.
"""
