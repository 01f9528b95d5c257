"""Score the variants of experiments with the served model."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import text

from thumblab_core.experiments.records import StoredExperiment
from thumblab_core.images import digest
from thumblab_core.releases.release import ALL, MODEL
from thumblab_pipelines.features.compared import variants_query
from thumblab_pipelines.features.picture_words import read_picture_words
from thumblab_pipelines.features.stored_vectors import read_vectors
from thumblab_pipelines.lab import Lab


def served_scores(lab: Lab, stored: Sequence[StoredExperiment]) -> dict[int, list[float]] | None:
    """Return the scores of each experiment's variants, by the number of the experiment. Return None if no model is
    served.

    An experiment is left out if a variant has no picture, or if the lab lacks a vector of one of its pictures or
    titles. The lab makes vectors of pictures and titles only if it has collected the tested video. A variant without a
    title gets the title that the video had, see `variants_query`. Words in the pictures are used only if the words of
    all pictures of the experiment are known. No channel adapter is used, because the adapter may have been fitted to
    the tested video itself. Raises `LabError` if the served model cannot be loaded.
    """
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    model = lab.releases.serving.current(MODEL, ALL)
    if model is None:
        return None
    ranker = TrainedRanker.load(model)
    config = ranker.model.config
    statement = text(f"{variants_query('e.experiment_id = ANY(:numbers)')} ORDER BY e.experiment_id, x.position")
    with lab.engine.connect() as connection:
        variants = connection.execute(statement, {"numbers": [one.experiment_id for one in stored]}).all()
    ids, pictures, titles = ([getattr(row, name) for row in variants] for name in ("video_id", "sha256", "title"))
    images, has_image = read_vectors(lab, ids, pictures, config.image_encoder)
    title_vectors, has_title = read_vectors(
        lab, ids, [digest(title.encode()) for title in titles], config.title_encoder
    )
    in_pictures = read_picture_words(lab, ids, pictures)
    experiment_ids = np.array([row.experiment_id for row in variants], np.int64)
    scores: dict[int, list[float]] = {}
    for one in stored:
        rows = np.flatnonzero(experiment_ids == one.experiment_id)
        if len(rows) < len(one.experiment.variants) or not (has_image & has_title)[rows].all():
            continue
        words = [in_pictures[row] for row in rows]
        shown = None if None in words else words
        predicted = ranker.predict(images[rows], title_vectors[rows], [titles[row] for row in rows], in_pictures=shown)
        scores[one.experiment_id] = predicted.score.tolist()
    return scores
