"""Define the assets that collect data outside the daily refresh, for training and calibration, and the crawl's job."""
