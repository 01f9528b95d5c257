"""Define the assets that collect data outside the daily refresh, for training and calibration. Also define the job that
crawls.
"""
