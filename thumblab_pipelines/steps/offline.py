"""The way from an imported library to a judged model in one call, without Dagster and without MLflow."""

from sqlalchemy import select

from thumblab_core.database.tables import videos
from thumblab_pipelines.steps.baselines import compute_baselines
from thumblab_pipelines.steps.embed import embed
from thumblab_pipelines.steps.features import measure_features
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.library import build_index
from thumblab_pipelines.steps.pairs import build_pairs
from thumblab_pipelines.steps.progress import Progress, silent
from thumblab_pipelines.steps.ranking import BuiltModel, build_model
from thumblab_pipelines.steps.recipe import TrainConfig


def build_offline(lab: Lab, progress: Progress = silent, config: TrainConfig | None = None) -> BuiltModel:
    """Encode, measure, index, pair and train what the library holds; only what is new costs time."""
    with lab.engine.connect() as connection:
        niches = connection.scalars(select(videos.c.niche).distinct().order_by(videos.c.niche)).all()
    for niche in niches:
        embed(lab, niche, progress)
        measure_features(lab, niche, progress)
        compute_baselines(lab, niche)
        build_index(lab, niche)
    build_pairs(lab)
    return build_model(lab, config, progress)
