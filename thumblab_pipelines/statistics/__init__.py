"""Compute metrics, calibration and trends with pure functions of arrays."""
