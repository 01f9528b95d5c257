"""Build and evaluate a model from imported videos in one call, without Dagster and MLflow."""

from sqlalchemy import select

from thumblab_core.database.tables import videos
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.features.baselines import compute_baselines
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.features.sub_scores import measure_features
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import build_index
from thumblab_pipelines.models.build import BuiltModel, build_model
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.training.config import TrainConfig


def build_offline(lab: Lab, progress: Progress = silent, config: TrainConfig | None = None) -> BuiltModel:
    """Encode and measure the videos of the lab, build the index and the pairs, and train a model.

    Each step does only the work that no earlier call has done.
    """
    with lab.engine.connect() as connection:
        niches = connection.scalars(select(videos.c.niche).distinct().order_by(videos.c.niche)).all()
    for niche in niches:
        embed(lab, niche, progress)
        measure_features(lab, niche, progress)
        compute_baselines(lab, niche)
        build_index(lab, niche)
    build_pairs(lab)
    return build_model(lab, config, progress)
