"""The catalogues that the emulator serves: from a folder, synthetic with drawn pictures, or vast."""
