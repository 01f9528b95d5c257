"""The catalogues that the emulator shows: drawn, and of any size."""
