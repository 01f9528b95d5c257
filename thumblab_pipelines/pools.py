"""The names of Dagster's pools. Steps in the same pool run one at a time, also if they belong to different runs."""

ENCODER = "encoder"
"""Steps that compute with the image and text models. They use all cores."""

YOUTUBE = "youtube"
"""Steps that spend the day's quota of YouTube."""

TRAINER = "trainer"
"""Steps that train."""

POOLS = (ENCODER, YOUTUBE, TRAINER)
