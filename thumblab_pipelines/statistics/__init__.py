"""Metrics, calibration and trends as pure functions of arrays."""
