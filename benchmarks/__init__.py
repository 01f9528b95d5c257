"""What costs what, measured side by side in one run: `make bench`."""
