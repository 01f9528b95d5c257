"""The inclusion limits: the conditions for channels and videos that may be used to train a model.

The crawl applies the limits before it stores a video. The training dataset applies them to every video of the lab,
because videos also come from charts, searches and catalogues.
"""

from datetime import timedelta

LEAST_VIEWS = 1_000

SHORTEST_S, LONGEST_S = 60, 3_600
"""The shortest and the longest video, in seconds. Both lengths are included."""

LEAST_SUBSCRIBERS = 100

LEAST_RECENT_VIDEOS = 10
ACTIVE_WITHIN = timedelta(days=90)
"""A channel is active if it published at least `LEAST_RECENT_VIDEOS` videos in the last 90 days."""

OUTLIER_SIGMAS = 3.0
"""The largest distance of a video from the average of its channel, in standard deviations. A video that is farther away
is excluded.

The crawl compares the logarithm of the views per hour, and the average is the channel's mean. The training dataset
compares the value that the model learns to predict, and the average is the channel's median.
"""
