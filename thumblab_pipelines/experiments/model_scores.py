"""Score the variants of experiments with the served model."""

from collections.abc import Sequence

import numpy as np

from thumblab_core.encoders.protocol import Vectors
from thumblab_core.experiments.records import Experiment, StoredExperiment
from thumblab_core.images import digest
from thumblab_core.releases.release import ALL, MODEL
from thumblab_pipelines.features.stored_vectors import read_vectors
from thumblab_pipelines.lab import Lab


def served_scores(lab: Lab, stored: Sequence[StoredExperiment]) -> dict[int, list[float]] | None:
    """Return the scores of each experiment's variants, by the number of the experiment, or None if no model is served.

    Each variant of an experiment needs a picture and a title, and the lab must have the vectors of both. Otherwise, the
    experiment is left out. The lab makes such vectors only if it has collected the tested video. The scores use
    no channel adapter, because an adapter may have been fitted to the tested video itself. Raises `LabError` if the
    served model cannot be loaded.
    """
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    model = lab.releases.serving.current(MODEL, ALL)
    if model is None:
        return None
    ranker = TrainedRanker.load(model)
    config = ranker.model.config
    scores: dict[int, list[float]] = {}
    for one in stored:
        pictures = [variant.sha256 for variant in one.experiment.variants if variant.sha256 is not None]
        titles = [variant.title for variant in one.experiment.variants if variant.title is not None]
        if len(pictures) < len(one.experiment.variants) or len(titles) < len(pictures):
            continue
        images = _vectors(lab, one.experiment, pictures, config.image_encoder)
        words = _vectors(lab, one.experiment, [digest(title.encode()) for title in titles], config.title_encoder)
        if images is not None and words is not None:
            scores[one.experiment_id] = ranker.predict(images, words, titles).score.tolist()
    return scores


def _vectors(lab: Lab, experiment: Experiment, digests: Sequence[str], encoder: str) -> Vectors | None:
    """Return the vectors of an experiment's pictures or titles [n, d], or None if one of them is not stored."""
    vectors = []
    for source in digests:
        vector, stored = read_vectors(lab, [experiment.video_id], [source], encoder)
        if not stored.all():
            return None
        vectors.append(vector[0])
    return np.stack(vectors)
