"""The assets that feed training and calibration beside the daily refresh, and their job."""
