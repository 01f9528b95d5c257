"""Define the assets that collect data for training and calibration outside the daily refresh, and the job of the
crawl."""
