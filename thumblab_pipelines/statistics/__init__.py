"""Compute metrics, intervals, calibration and trends. The functions take arrays, and use no database and no files."""
