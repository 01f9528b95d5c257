"""Define the jobs that find faces, group faces and train the matching head. Also define the schedules that find and
group faces daily."""

import dagster as dg

from thumblab_pipelines.defs.groups import niche_partitions
from thumblab_pipelines.defs.timing import HOBART, max_runtime, niche_schedule

find_faces = dg.define_asset_job(
    "find_faces",
    selection=dg.AssetSelection.assets("faces"),
    partitions_def=niche_partitions,
    description="Find and embed the faces of a niche's thumbnails.",
    tags=max_runtime(hours=6),
)

group_people = dg.define_asset_job(
    "group_people",
    selection=dg.AssetSelection.assets("face_clusters", "people"),
    description="Match faces to named people, group all other faces, and count the thumbnails of each person.",
    tags=max_runtime(hours=2),
)

train_people = dg.define_asset_job(
    "train_people",
    selection=dg.AssetSelection.assets("matching_head", "face_clusters", "people"),
    description="Train the matching head on named people, then group all faces again with the new head.",
    tags=max_runtime(hours=2),
)

daily_faces = niche_schedule(
    "daily_faces",
    find_faces,
    "30 4 * * *",
    "Searches the new thumbnails of every niche for faces, daily at 04:30 in Hobart. This schedule is off until you turn "
    "it on.",
    running=False,
)

daily_people = dg.ScheduleDefinition(
    name="daily_people",
    job=group_people,
    cron_schedule="30 5 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Groups the faces daily at 05:30 in Hobart. This schedule is off until you turn it on.",
)
