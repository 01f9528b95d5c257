"""Keep Dagster's partitions equal to the niches of the lab.

The partitions are dynamic: Dagster stores their names, so a partition is added without a new deployment.
"""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from thumblab_pipelines.dagster_storage import open_instance

NICHE_PARTITIONS = dg.DynamicPartitionsDefinition(name="niche")


def tell_dagster_of_niches(home: Path, data_dir: Path, niches: Sequence[str]) -> str | None:
    """Make the partitions of the lab in `data_dir` equal to its niches, outside any run. `home`: the folder of
    `dagster.yaml`.

    Return None if this succeeds. If Dagster's database cannot be changed, return a sentence that says so. The sensor
    `niches` then changes the partitions later.
    """
    try:
        with open_instance(home, data_dir) as instance:
            add_partitions(instance, niches)
            remove_partitions(instance, niches)
    except Exception as error:  # noqa: BLE001  Dagster raises errors of many libraries, and the niches were changed anyway
        return f"the niches were changed, and Dagster shows them within a minute ({type(error).__name__})"
    return None


def add_partitions(instance: dg.DagsterInstance, niches: Sequence[str]) -> list[str]:
    """Add the niches that are not partitions yet, and return the added niches."""
    known = instance.get_dynamic_partitions("niche")
    new = [niche for niche in niches if niche not in known]
    if new:
        instance.add_dynamic_partitions("niche", new)
    return new


def remove_partitions(instance: dg.DagsterInstance, niches: Sequence[str]) -> list[str]:
    """Remove the partitions that are not among `niches`, and return the removed partitions. The history of their runs
    stays.
    """
    gone = [niche for niche in instance.get_dynamic_partitions("niche") if niche not in niches]
    for niche in gone:
        instance.delete_dynamic_partition("niche", niche)
    return gone
