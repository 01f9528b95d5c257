"""The names of Dagster's pools. Steps of the same pool run one at a time, even if they belong to different runs."""

ENCODER = "encoder"
"""The pool of steps that compute with the image and text models, which use all cores."""

YOUTUBE = "youtube"
"""The pool of steps that spend YouTube's daily quota."""

TRAINER = "trainer"
"""The pool of steps that train models."""

POOLS = (ENCODER, YOUTUBE, TRAINER)
