"""Define the sensor `niches`, which keeps the list of Dagster's partitions equal to the list of niches."""

import dagster as dg

from thumblab_core.database.engine import explained
from thumblab_core.errors import LabError
from thumblab_core.niches.store import write_niche_file
from thumblab_pipelines.dagster_partitions import add_partitions, remove_partitions
from thumblab_pipelines.defs.resources import LabResource


@dg.sensor(
    name="niches",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds a partition for each new niche, and removes the partitions of retired niches.",
)
def niches(context: dg.SensorEvaluationContext, lab: LabResource) -> dg.SkipReason:
    try:
        with explained():
            opened = lab.open()
            added = add_partitions(context.instance, opened.niches)
            # A request may have added a niche and its partition in the meantime, so the names are read again.
            names = opened.niches
            removed = remove_partitions(context.instance, names)
    except LabError as error:
        return dg.SkipReason(f"the niches cannot be read: {error}")
    changes = [f"added {', '.join(added)}"] if added else []
    changes += [f"removed {', '.join(removed)}"] if removed else []
    try:
        # The file may lack a change of the table `niches`: one that a person made on another machine, or one that was
        # made by a command that ended before it wrote the file.
        write_niche_file(opened.engine, opened.settings.data_dir)
    except LabError as error:
        changes.append(str(error))
    return dg.SkipReason("; ".join(changes) or f"the partitions are the {len(names)} niches of the lab")
