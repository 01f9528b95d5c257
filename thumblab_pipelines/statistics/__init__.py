"""Compute metrics, intervals, calibration and trends. The functions take arrays, and need no database and no files."""
