"""Test the scores that the served model gives to the variants of an experiment."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from given_experiments import CHANNEL, START, VIDEO, given, kept, put_channel
from sqlalchemy import delete, insert, update

from thumblab_core.database.tables import earlier_embeddings, embeddings, videos, visual_features
from thumblab_core.images import digest
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.inputs import InputLayout, model_inputs
from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
from thumblab_core.releases.release import ALL, MODEL
from thumblab_pipelines.experiments.add import AddedExperiment, ExperimentWriter
from thumblab_pipelines.experiments.model_scores import served_scores
from thumblab_pipelines.experiments.report import agreement_of
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.trainable_ranker import TrainableRanker

TITLE = "One title"


def serve_model(lab: Lab, column: int = 0) -> None:
    """Serve a model whose score depends only on the input at position `column`. The score grows with this input.

    By default, this input is the first number of the picture's vector.
    """
    model = TrainableRanker(RankerConfig("images", "titles", image_dimension=4, title_dimension=2, hidden=8))
    random = np.random.default_rng(0)
    vectors, words = random.standard_normal((32, 4)), random.standard_normal((32, 2))
    model.fit_scale(
        model_inputs(
            vectors.astype(np.float32), words.astype(np.float32), ["A title"] * 32, in_pictures=["A", "B"] * 16
        )
    )
    line = np.zeros(model.config.inputs, np.float32)
    line[column] = 1.0
    model.start(line)
    trained = TrainedRanker(model.ranker(), Calibration(1.0, {}, 1.0), {})
    info = {"image_encoder": "images", "title_encoder": "titles"}
    lab.releases.serving.promote(lab.releases.publish(MODEL, ALL, trained.save, info))


@pytest.fixture
def experiment(lab: Lab, pictures: list[Path]) -> AddedExperiment:
    """An experiment with three pictures and one title. The second variant won. The lab has the experiment's video."""
    put_channel(lab, CHANNEL, "Alpha", VIDEO)
    variants = [{"picture": path, "title": TITLE} for path in pictures]
    return ExperimentWriter(lab).add(given(variants, outcome="winner", winner=2))


@pytest.fixture
def encode(lab: Lab, experiment: AddedExperiment) -> Callable[[int, float], None]:
    """A function that stores a vector for the picture of the variant at `position`.

    `first` is the first number of the vector. The other numbers are 0.
    """
    with lab.engine.begin() as connection:
        connection.execute(delete(embeddings))
        row = {"video_id": VIDEO, "encoder": "titles", "source_digest": digest(TITLE.encode()), "vector": [1.0, 0.0]}
        connection.execute(insert(embeddings).values(**row))

    def put(position: int, first: float) -> None:
        row = {"video_id": VIDEO, "encoder": "images", "vector": [first, 0.0, 0.0, 0.0]}
        row["source_digest"] = experiment.experiment.variants[position - 1].sha256 or ""
        # The first variant is the picture that the video shows now. The vector of this picture is in the table
        # `embeddings`. The vectors of the video's earlier pictures are in the table `earlier_embeddings`.
        with lab.engine.begin() as connection:
            connection.execute(insert(embeddings if position == 1 else earlier_embeddings).values(**row))

    return put


def test_the_variants_are_scored_by_the_served_model_in_their_order(
    lab: Lab, experiment: AddedExperiment, encode: Callable[[int, float], None]
) -> None:
    for position, first in ((1, 0.1), (2, 0.9), (3, -0.5)):
        encode(position, first)
    serve_model(lab)
    scores = served_scores(lab, kept(lab))
    assert scores is not None
    (three,) = scores.values()
    assert list(np.argsort(three)) == [2, 0, 1]
    assert (agreement_of(kept(lab), scores).agreed, list(scores)) == (1.0, [experiment.experiment_id])


def test_an_experiment_with_a_picture_or_title_that_is_not_encoded_has_no_scores(
    lab: Lab, encode: Callable[[int, float], None], pictures: list[Path]
) -> None:
    serve_model(lab)
    encode(1, 0.1)
    encode(2, 0.9)  # The third picture is not encoded.
    ExperimentWriter(lab).add(given(pictures, video_id="video_bbbbb"))  # The lab has no title for this video.
    ExperimentWriter(lab).add(given(["One", "Two"], video_id="video_ccccc"))  # This experiment has no pictures.
    assert served_scores(lab, kept(lab)) == {}


WORDS_IN_TITLE = InputLayout(4, 2).columns("agreement").start + 1
"""The position of the model input for the share of the words in a picture that are also in its title."""


def put_words(lab: Lab, sha256: str | None, words: str) -> None:
    """Store `words` as the text that was read in the video's picture with the hash `sha256`."""
    row = {"video_id": VIDEO, "sha256": sha256, "version": "2", "evidence": {"texts": [{"text": words}]}}
    with lab.engine.begin() as connection:
        connection.execute(insert(visual_features).values(**row))


def test_the_words_in_the_picture_count_in_a_test_of_titles(
    lab: Lab, experiment: AddedExperiment, encode: Callable[[int, float], None], pictures: list[Path]
) -> None:
    titles = [TITLE, "Another day", "One more title"]
    encode(1, 0.5)
    with lab.engine.begin() as connection:
        for title in titles[1:]:
            row = {
                "video_id": VIDEO,
                "encoder": "titles",
                "vector": [1.0, 0.0],
                "source_digest": digest(title.encode()),
            }
            connection.execute(insert(earlier_embeddings).values(**row))
    put_words(lab, experiment.experiment.variants[0].sha256, TITLE.upper())
    serve_model(lab, WORDS_IN_TITLE)
    variants = [{"picture": pictures[0], "title": title} for title in titles]
    of_titles = ExperimentWriter(lab).add(given(variants, started_on=START + timedelta(days=20)))
    scores = served_scores(lab, kept(lab))
    assert scores is not None
    same, other, longer = scores[of_titles.experiment_id]
    assert same == longer > other


def test_the_words_in_a_picture_do_not_count_if_another_picture_of_the_experiment_was_not_read(
    lab: Lab, experiment: AddedExperiment, encode: Callable[[int, float], None]
) -> None:
    for position in (1, 2, 3):
        encode(position, 0.5)
    put_words(lab, experiment.experiment.variants[0].sha256, TITLE)
    serve_model(lab, WORDS_IN_TITLE)
    scores = served_scores(lab, kept(lab))
    assert scores is not None
    assert len(set(scores[experiment.experiment_id])) == 1


def test_variants_without_a_title_are_scored_with_the_title_that_the_video_had(
    lab: Lab, experiment: AddedExperiment, encode: Callable[[int, float], None], pictures: list[Path]
) -> None:
    for position, first in ((1, 0.1), (2, 0.9), (3, -0.5)):
        encode(position, first)
    serve_model(lab)
    with lab.engine.begin() as connection:
        connection.execute(update(videos).where(videos.c.video_id == VIDEO).values(title=TITLE))
    untitled = ExperimentWriter(lab).add(given(pictures, started_on=START + timedelta(days=20)))
    scores = served_scores(lab, kept(lab))
    assert scores is not None
    assert scores[untitled.experiment_id] == scores[experiment.experiment_id]


def test_without_a_served_model_there_are_no_scores(open_lab: Callable[..., Lab]) -> None:
    assert served_scores(open_lab(), []) is None
