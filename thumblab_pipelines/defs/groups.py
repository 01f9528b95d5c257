"""Define the arguments that assets share: partitions, owners, retries, freshness and pools."""

from datetime import timedelta
from typing import Any

import dagster as dg

from thumblab_pipelines.dagster_partitions import NICHE_PARTITIONS
from thumblab_pipelines.pools import ENCODER as ENCODER
from thumblab_pipelines.pools import TRAINER as TRAINER
from thumblab_pipelines.pools import YOUTUBE as YOUTUBE

OWNERS = ["team:thumblab"]

niche_partitions = NICHE_PARTITIONS

RETRY = dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

BY_NICHE: dict[str, Any] = {
    "partitions_def": niche_partitions,
    # No backfill policy is set, so that a backfill makes one run per niche. Each run then has the tag
    # `dagster/partition`. By this tag, dagster.yaml prevents two runs of one niche at the same time. With a backfill
    # policy, Dagster 1.13 would tag each run with a range of partitions instead.
}
"""Arguments of assets that have a partition for each niche."""

LIBRARY: dict[str, Any] = {
    **BY_NICHE,
    "group_name": "library",
    "owners": OWNERS,
    "retry_policy": RETRY,
    # These assets are refreshed daily at 03:00. If an asset is half a day late, its freshness policy fails, and
    # Dagster's UI shows that the asset is late.
    "freshness_policy": dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
    ),
}
COLLECTION: dict[str, Any] = {
    "group_name": "collection",
    "owners": OWNERS,
    "retry_policy": RETRY,
}
"""Arguments of assets that collect data outside the daily refresh, each at its own interval."""

UPKEEP: dict[str, Any] = {**COLLECTION, "group_name": "upkeep"}
"""Arguments of assets that refresh or delete collected data, each at its own interval, as YouTube's policies require.
"""

RANKING: dict[str, Any] = {
    **COLLECTION,
    "group_name": "ranking",
    "freshness_policy": dg.FreshnessPolicy.time_window(fail_window=timedelta(days=9), warn_window=timedelta(days=8)),
}
"""Arguments of assets of the ranking model. These assets are made weekly."""

PREDICTIONS: dict[str, Any] = {**COLLECTION, "group_name": "predictions"}
"""Arguments of assets about kept predictions. The schedule of these assets is off until a person turns it on."""

REPORTS: dict[str, Any] = {**BY_NICHE, **RANKING, "group_name": "reports"}
"""Arguments of assets that report on a niche. The reports are made weekly."""

MAPS: dict[str, Any] = {
    "group_name": "maps",
    "owners": OWNERS,
    "retry_policy": RETRY,
    "freshness_policy": dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=36), warn_window=timedelta(hours=26)
    ),
}
"""Arguments of the library maps. The maps are made daily."""

PEOPLE: dict[str, Any] = {**COLLECTION, "group_name": "people"}
"""Arguments of assets about the people in thumbnails. The schedules of these assets are off until a person turns them
on.
"""
