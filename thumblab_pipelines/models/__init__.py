"""Build, promote, register and track model releases."""
