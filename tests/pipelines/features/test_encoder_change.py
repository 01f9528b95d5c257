"""Tests of a change of encoder. All pictures get new vectors. The old index is served until a new index is promoted."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from tiny_clip import TinyClip

from thumblab_core.database.tables import embeddings, thumbnails, videos, visual_features
from thumblab_core.encoders.load import image_encoder, image_encoder_name, named_image_encoder
from thumblab_core.encoders.open_clip import OpenClipEncoder
from thumblab_core.encoders.protocol import text_tower
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex, PublishedBetween
from thumblab_core.releases.release import ENCODER, INDEX
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.features import baselines, sub_scores
from thumblab_pipelines.features.check_vectors import check_embeddings
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library import build
from thumblab_pipelines.library.search import search_libraries

NICHE = "tech"


@pytest.fixture(scope="module")
def new_labs(
    open_lab: Callable[..., Lab],
    copied_database: Callable[[str], str],
    small: Any,
    tiny: TinyClip,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], tuple[Lab, Lab]]:
    """A function that returns two labs, which share a new copy of the database of the fixture `small`.

    The first lab uses the built-in encoder, and the second lab uses a CLIP model.
    """

    def make() -> tuple[Lab, Lab]:
        small.lab.engine.dispose()
        url = small.lab.engine.url.render_as_string(hide_password=False)
        releases = tmp_path_factory.mktemp("releases")
        own_settings = {"database_url": SecretStr(copied_database(url)), "release_dir": releases}
        old = open_lab(data_dir=small.lab.settings.data_dir, **own_settings)
        return old, open_lab(beside=old, image_encoder=tiny.setting)

    return make


@pytest.fixture
def labs(new_labs: Callable[[], tuple[Lab, Lab]]) -> tuple[Lab, Lab]:
    """Two labs for one test. The fixture `new_labs` describes them."""
    return new_labs()


@pytest.fixture(scope="module")
def measured(new_labs: Callable[[], tuple[Lab, Lab]]) -> Lab:
    """A lab whose pictures are encoded and measured with a CLIP model. The tests of this module share the lab."""
    lab = new_labs()[1]
    embed(lab, NICHE)
    assert sub_scores.measure_features(lab, NICHE).measured > 0
    return lab


def rows(lab: Lab) -> dict[str, int]:
    """Return how many vectors of each encoder the niche has."""
    statement = (
        select(embeddings.c.encoder, func.count())
        .join(videos)
        .where(videos.c.niche == NICHE)
        .group_by(embeddings.c.encoder)
    )
    with lab.engine.connect() as connection:
        return dict(connection.execute(statement).tuples().all())


def test_a_new_encoder_makes_new_rows_and_the_old_index_is_served_until_the_new_one_is_promoted(
    labs: tuple[Lab, Lab],
) -> None:
    old, new = labs
    embed(old, NICHE)
    baselines.compute_baselines(old, NICHE)
    build.build_index(old, NICHE)
    served = build.promote_index(old, NICHE).release
    before = rows(old)

    # The settings name the new encoder, so a release that was made with the old encoder is not promoted.
    with pytest.raises(
        LabError, match="made with the encoder builtin-768-v3; the encoder in the settings is open_clip-tiny"
    ):
        build.promote_index(new, NICHE)
    with pytest.raises(LabError, match="is empty: none of its"):
        build.build_index(new, NICHE)

    embedded = embed(new, NICHE)
    assert embedded.settled is not None
    assert embedded.settled.startswith("int8 (mean cosine 0.99")
    assert embedded.encoder == image_encoder(new.settings).fingerprint
    after = rows(new)
    assert {name: after[name] for name in before} == before
    assert after[embedded.encoder] == embedded.images == before["builtin-768-v3"]
    assert all(check.passed for check in check_embeddings(new, NICHE))
    assert new.releases.serving.current_id(INDEX, NICHE) == served.release_id

    built = build.build_index(new, NICHE).release
    assert new.releases.serving.current_id(INDEX, NICHE) == served.release_id
    assert build.promote_index(new, NICHE).release == built
    assert new.releases.serving.current_id(INDEX, NICHE) == built.release_id

    # The info of an index release contains the name of an encoder. This encoder must encode the queries of a search in
    # this release, so its vectors have as many numbers as the vectors in the index.
    for release in (served, built):
        encoder = named_image_encoder(release.info["encoder_name"], new.settings.releases)
        index = NicheIndex.load(release)
        assert (index.encoder, index.dimension) == (encoder.fingerprint, encoder.dimension)

    # The lab keeps the vectors of both encoders. If the settings name the old encoder again, nothing is encoded. The
    # lab also keeps the chosen precision of each encoder, such as int8.
    assert embed(old, NICHE).images == embed(new, NICHE).images == 0
    assert len(new.releases.all(ENCODER, embedded.encoder.rpartition("-int8-")[0])) == 1


@pytest.mark.slow
def test_a_second_run_with_nothing_new_loads_and_runs_no_encoder(measured: Lab) -> None:
    named_image_encoder.cache_clear()  # The cache is now empty, as in a new process.
    again, measured_again = embed(measured, NICHE), sub_scores.measure_features(measured, NICHE)
    assert (again.images, again.titles, again.settled, measured_again.measured) == (0, 0, None, 0)
    assert again.had > 0 < measured_again.had
    encoder = image_encoder(measured.settings)
    assert isinstance(encoder, OpenClipEncoder)
    assert not {"_loaded", "_tower"} & set(vars(encoder))


def test_with_a_text_tower_the_service_and_the_library_measure_alike(measured: Lab) -> None:
    from thumblab_core.encoders.load import title_encoder
    from thumblab_serving.loading.encoding import Encoders
    from thumblab_serving.loading.sent_picture import SentPicture
    from thumblab_serving.loading.sub_score_meters import SubScoreMeters

    settings = measured.settings
    encoders = Encoders(
        title_encoder(settings.title_encoder), lambda name: named_image_encoder(name, settings.releases)
    )
    image = encoders.image(image_encoder_name(settings)).fingerprint
    measuring = SubScoreMeters(settings)
    statement = select(visual_features, videos.c.title).join(videos, videos.c.video_id == visual_features.c.video_id)
    with measured.engine.connect() as connection:
        row = connection.execute(statement.where(visual_features.c.version.endswith(image))).mappings().first()
    assert row is not None
    assert measuring.version(encoders, image) == row["version"]
    data = measured.images.get(row["sha256"])
    vector = encoders.picture(image, SentPicture(data))
    measurement = measuring.measure(SentPicture(data), row["title"], vector, encoders, image)
    assert measurement.evidence.title_match_by == "picture"
    for name in NAMES:
        assert measurement.scores[name].value == pytest.approx(row[name], abs=1e-3), name


def test_words_and_pictures_are_searched_in_their_common_space(measured: Lab, tmp_path: Path) -> None:
    baselines.compute_baselines(measured, NICHE)
    build.build_index(measured, NICHE)
    index = NicheIndex.load(build.promote_index(measured, NICHE).release)
    tower = text_tower(image_encoder(measured.settings))
    assert tower is not None
    searched = search_libraries(measured, (NICHE,), 5, PublishedBetween(), words="a red phone")
    expected = index.search(tower.encode_texts(["a red phone"])[0], 5)
    assert [hit.item for hit in searched.hits] == [neighbour.item for neighbour in expected]
    assert searched.remarks == []
    with measured.engine.connect() as connection:
        row = connection.execute(select(thumbnails).join(videos).where(videos.c.niche == NICHE)).mappings().first()
    assert row is not None
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(measured.images.get(row["sha256"]))
    nearest = search_libraries(measured, (NICHE,), 1, PublishedBetween(), image=picture).hits[0]
    assert (nearest.item.video_id, nearest.similarity > 0.999) == (row["video_id"], True)


def test_a_library_too_small_to_choose_a_precision_stays_in_float32(
    labs: tuple[Lab, Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_pipelines.features import embed as step

    monkeypatch.setattr(step, "HELD_OUT", 100_000)
    embedded = embed(labs[1], NICHE)
    assert embedded.settled is None
    assert embedded.encoder.endswith("-float32")


def test_choosing_a_precision_leaves_the_handlers_of_the_log_as_they_are(
    measured: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    assert measured.settings.encoder_precision == "auto"
    assert caplog.handler.level == logging.NOTSET
