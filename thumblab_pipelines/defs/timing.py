"""When jobs run: schedules use the time of Hobart, and a run has a maximum duration."""

from collections.abc import Iterator

import dagster as dg

from thumblab_core.niches import NICHES

HOBART = "Australia/Hobart"


def max_runtime(hours: float) -> dict[str, str]:
    return {"dagster/max_runtime": str(round(3_600 * hours))}


def every_niche(moment: str) -> Iterator[dg.RunRequest]:
    for niche in NICHES:
        yield dg.RunRequest(partition_key=niche, run_key=f"{moment}/{niche}")
