"""Tests of the distribution of a library's sub-scores, which an index release contains as quantiles.

The service compares the sub-scores of a picture with these quantiles. The service and the library's assets must measure
the same sub-scores in the same picture.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from catalogues import collected_beside
from sqlalchemy import select, text, update

from demo.catalogues.synthetic import SyntheticCatalogue
from thumblab_core.database.tables import videos, visual_features
from thumblab_core.index import NicheIndex
from thumblab_core.sub_scores import NAMES
from thumblab_core.sub_scores.distribution import ScoreDistribution
from thumblab_pipelines.features import baselines, embed, sub_scores
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library import build

NICHE = "tech"
MEASURED = [name for name in NAMES if name != "title_match"]


@pytest.fixture(scope="module")
def embedded(open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue, small: Any) -> Lab:
    """A lab with one niche whose thumbnails are encoded and measured."""
    lab = collected_beside(small.lab, open_lab, catalogue, NICHE)
    embed.embed(lab, NICHE)
    baselines.compute_baselines(lab, NICHE)
    sub_scores.measure_features(lab, NICHE)
    return lab


@pytest.fixture
def lab(embedded: Lab) -> Iterator[Lab]:
    """The lab of the fixture `embedded`. Changes of its sub-scores are undone after the test."""
    with embedded.engine.connect() as connection:
        before = [dict(row) for row in connection.execute(select(visual_features)).mappings()]
    yield embedded
    with embedded.engine.begin() as connection:
        connection.execute(visual_features.delete())
        connection.execute(visual_features.insert(), before)


def built_distribution(lab: Lab) -> ScoreDistribution:
    distribution = NicheIndex.load(build.build_index(lab, NICHE).release).scores
    assert distribution is not None
    return distribution


def execute(lab: Lab, statement: Any) -> None:
    with lab.engine.begin() as connection:
        connection.execute(statement)


def test_the_release_has_the_quantiles_of_the_sub_scores_and_is_built_once(lab: Lab) -> None:
    first, again = build.build_index(lab, NICHE), build.build_index(lab, NICHE)
    assert again.reused
    distribution = built_distribution(lab)
    with lab.engine.connect() as connection:
        rows = connection.execute(select(visual_features)).all()
    assert distribution.count == first.release.info["measured"] == first.release.info["count"] == len(rows)
    for name in MEASURED:
        expected = np.quantile([getattr(row, name) for row in rows], np.linspace(0, 1, 101))
        np.testing.assert_allclose(distribution.quantiles[name] or [], expected, atol=1e-6)


def test_a_changed_sub_score_makes_a_new_release(lab: Lab) -> None:
    build.build_index(lab, NICHE)
    execute(lab, update(visual_features).values(clarity=0.5))
    assert not build.build_index(lab, NICHE).reused
    assert set(built_distribution(lab).quantiles["clarity"] or []) == {0.5}


@pytest.mark.parametrize("change", ["version = 'older'", "sha256 = repeat('0', 64)"])
def test_sub_scores_of_another_version_or_another_picture_do_not_count(lab: Lab, change: str) -> None:
    before = built_distribution(lab).count
    execute(
        lab, text(f"UPDATE visual_features SET {change} WHERE video_id = (SELECT min(video_id) FROM visual_features)")
    )
    assert built_distribution(lab).count == before - 1


def test_a_library_without_sub_scores_is_built_without_quantiles(lab: Lab) -> None:
    execute(lab, visual_features.delete())
    distribution = built_distribution(lab)
    assert distribution.count == 0
    assert set(distribution.quantiles.values()) == {None}


def test_the_service_measures_the_same_sub_scores_as_the_library(lab: Lab) -> None:
    from thumblab_core.encoders.load import image_encoder_name, named_image_encoder, title_encoder
    from thumblab_serving.loading.encoding import Encoders
    from thumblab_serving.loading.sent_picture import SentPicture
    from thumblab_serving.loading.sub_score_meters import SubScoreMeters

    distribution = built_distribution(lab)
    encoders = Encoders(
        title_encoder(lab.settings.title_encoder), lambda name: named_image_encoder(name, lab.settings.releases)
    )
    image = encoders.image(image_encoder_name(lab.settings)).fingerprint
    measuring = SubScoreMeters(lab.settings)
    assert measuring.version(encoders, image) == distribution.version
    with lab.engine.connect() as connection:
        row = connection.execute(
            select(visual_features, videos.c.title).join(videos, videos.c.video_id == visual_features.c.video_id)
        ).first()
    assert row is not None
    data = lab.images.get(row.sha256)
    vector = encoders.picture(image, SentPicture(data))
    scores = measuring.measure(SentPicture(data), row.title, vector, encoders, image).scores
    for name in NAMES:
        # The library encodes texts in batches, which changes the last digits of a sub-score.
        assert scores[name].value == pytest.approx(getattr(row, name), abs=1e-4)
