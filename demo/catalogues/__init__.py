"""The catalogues that the emulator can serve.

There are three: a catalogue that is read from a folder, the synthetic catalogue with drawn pictures, and the vast
catalogue, whose videos are computed on request.
"""
