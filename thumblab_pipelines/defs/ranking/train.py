"""Define the job that trains the ranking model, and its weekly schedule."""

import dagster as dg

from thumblab_pipelines.defs.lab_checks import made
from thumblab_pipelines.defs.timing import lab_schedule

train_ranker = dg.define_asset_job(
    "train_ranker",
    selection=made(dg.AssetSelection.groups("ranking")),
    description="Builds the training pairs, and trains, evaluates and serves the ranking model.",
)


weekly_training = lab_schedule(
    "weekly_training",
    train_ranker,
    # The daily refresh starts two hours earlier and takes far less than two hours. So the refresh has ended when the
    # training starts.
    "0 5 * * 1",
    "Trains the ranking model on Mondays at 05:00 in Hobart, after the daily refresh.",
)
