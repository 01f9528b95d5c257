"""Keep Dagster's partitions equal to the niches of the lab.

The partitions are dynamic: Dagster stores their names, and no deploy is needed to add one.
"""

from collections.abc import Sequence

import dagster as dg

NICHE_PARTITIONS = dg.DynamicPartitionsDefinition(name="niche")


def add_partitions(instance: dg.DagsterInstance, niches: Sequence[str]) -> list[str]:
    """Add the niches that are not partitions yet, and return them."""
    known = instance.get_dynamic_partitions("niche")
    new = [niche for niche in niches if niche not in known]
    if new:
        instance.add_dynamic_partitions("niche", new)
    return new


def remove_partitions(instance: dg.DagsterInstance, niches: Sequence[str]) -> list[str]:
    """Remove the partitions that are not among `niches`, and return them. The history of their runs stays."""
    gone = [niche for niche in instance.get_dynamic_partitions("niche") if niche not in niches]
    for niche in gone:
        instance.delete_dynamic_partition("niche", niche)
    return gone
