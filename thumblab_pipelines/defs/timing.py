"""The time zone of the schedules, the maximum duration of a run, and a run request for every niche."""

from collections.abc import Iterator

import dagster as dg

from thumblab_core.niches import NICHES

HOBART = "Australia/Hobart"


def max_runtime(hours: float) -> dict[str, str]:
    """Return the tag that makes Dagster end a run after so many hours."""
    return {"dagster/max_runtime": str(round(3_600 * hours))}


def every_niche(moment: str) -> Iterator[dg.RunRequest]:
    """Yield a run request for every niche, with a run key that allows one run of each at `moment`."""
    for niche in NICHES:
        yield dg.RunRequest(partition_key=niche, run_key=f"{moment}/{niche}")
