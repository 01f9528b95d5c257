"""Tests of embedding and measuring a niche. Nothing is encoded twice, and failures are reported.

Vectors of different encoders never mix.
"""

import pytest
from bench import NICHE, Bench, CountingPictures, FailingPictures, FailingTitles, passed
from sqlalchemy import select, text, update

from thumblab_core.database.tables import thumbnails, videos, visual_features
from thumblab_core.sub_scores import meter
from thumblab_pipelines.collection import download
from thumblab_pipelines.features import baselines, embed, encoding, sub_scores
from thumblab_pipelines.features.check_vectors import check_embeddings
from thumblab_pipelines.library import build
from thumblab_pipelines.progress import Progress
from thumblab_pipelines.videos.deletion import delete_videos


def test_every_picture_and_title_gets_a_vector_and_nothing_is_encoded_twice(bench: Bench) -> None:
    count = len(bench.ids())
    first, again = embed.embed(bench.lab, NICHE), embed.embed(bench.lab, NICHE)
    assert (first.had, first.images, first.titles) == (0, count, count)
    assert (again.had, again.images, again.titles) == (2 * count, 0, 0)
    assert sum(bench.pictures.batches) == len(bench.titles.encoded) == count
    assert passed(check_embeddings(bench.lab, NICHE)) == {"complete": True, "unit_length": True}


def test_committed_batches_survive_a_crash(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "_SAVED_AT_ONCE", 8)
    bench.pictures = CountingPictures(fails_at_batch=3)
    with pytest.raises(ZeroDivisionError):
        embed.embed(bench.lab, NICHE)
    # The crash came in the third batch. The first two batches, of 4 and of 8 pictures, are stored.
    assert bench.vectors(bench.pictures.fingerprint) == 12
    assert not passed(check_embeddings(bench.lab, NICHE))["complete"]
    bench.pictures = CountingPictures()
    again = embed.embed(bench.lab, NICHE)
    assert (again.had, again.images) == (12, len(bench.ids()) - 12)
    assert sum(bench.pictures.batches) == len(bench.ids()) - 12


def test_a_video_that_is_deleted_while_a_run_encodes_or_measures_is_left_out(bench: Bench) -> None:
    encoded, measured = bench.ids()[:2]

    def delete(doing: str, video_id: str) -> Progress:
        def during(what: str, *_: int) -> None:
            if doing in what and video_id in bench.ids():
                with bench.lab.engine.begin() as connection:
                    delete_videos(connection, [video_id])

        return during

    embed.embed(bench.lab, NICHE, delete("encoding thumbnails", encoded))
    assert bench.vectors(bench.pictures.fingerprint) == bench.vectors(bench.titles.fingerprint) == len(bench.ids())
    sub_scores.measure_features(bench.lab, NICHE, delete("measuring", measured))
    assert [row.video_id for row in bench.rows(select(visual_features.c.video_id).order_by("video_id"))] == bench.ids()


def test_only_a_changed_title_is_encoded_again(bench: Bench) -> None:
    embed.embed(bench.lab, NICHE)
    bench.titles.encoded.clear()
    bench.do(update(videos).where(videos.c.video_id == bench.ids()[0]).values(title="Another title"))
    again = embed.embed(bench.lab, NICHE)
    assert (again.images, again.titles) == (0, 1)
    assert bench.titles.encoded == ["Another title"]


def test_a_changed_picture_leaves_the_library_until_it_is_encoded_again(bench: Bench) -> None:
    bench.ready()
    changed, other = bench.ids()[:2]
    sha256 = bench.rows(select(thumbnails.c.sha256).where(thumbnails.c.video_id == other))[0][0]
    bench.do(update(thumbnails).where(thumbnails.c.video_id == changed).values(sha256=sha256))
    assert bench.rows(text(f"SELECT 1 FROM ref_thumbnails WHERE video_id = '{changed}'")) == []
    assert embed.embed(bench.lab, NICHE).images == 1
    assert len(bench.rows(text(f"SELECT 1 FROM ref_thumbnails WHERE video_id = '{changed}'"))) == 1


def test_vectors_of_two_encoders_are_kept_apart(bench: Bench) -> None:
    bench.ready()
    count = len(bench.ids())
    first = bench.pictures.fingerprint
    bench.pictures = CountingPictures("another-768")
    assert embed.embed(bench.lab, NICHE).images == count
    assert (bench.vectors(first), bench.vectors("another-768")) == (count, count)
    built = build.build_index(bench.lab, NICHE)
    assert (built.release.info["encoder"], built.release.info["count"]) == ("another-768", count)


def test_a_damaged_picture_is_reported_and_the_others_are_encoded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = bench.rows(select(thumbnails.c.sha256).order_by(thumbnails.c.video_id))[0][0]
    real = bench.lab.images.get
    monkeypatch.setattr(bench.lab.images, "get", lambda name: real("0" * 64 if name == bad else name))
    embedded, measured = embed.embed(bench.lab, NICHE), sub_scores.measure_features(bench.lab, NICHE)
    assert embedded.images == measured.measured == len(bench.ids()) - 1
    assert [entry.split(":")[0] for entry in embedded.unreadable] == [bench.ids()[0]]
    assert len(measured.unreadable) == 1


def test_inputs_without_a_vector_are_reported_left_out_and_not_tried_again_by_the_same_encoder(
    bench: Bench,
) -> None:
    dark, lost, *others = bench.ids()
    (title,) = bench.rows(select(videos.c.title).where(videos.c.video_id == lost))[0]
    bench.pictures = FailingPictures([0])
    bench.titles = FailingTitles(title)
    for second_run in (False, True):
        embedded = embed.embed(bench.lab, NICHE)
        assert [name.split(":")[0] for name in embedded.without] == [dark, lost]
        assert "its thumbnail: the encoder gives no vector" in embedded.without[0]
        assert "its title: the encoder gives no vector" in embedded.without[1]
        assert (embedded.images, embedded.titles) == ((0, 0) if second_run else (len(others) + 1,) * 2)
    assert sum(bench.pictures.batches) == len(others) + 2
    assert bench.titles.encoded.count(title) == 1
    checks = {check.name: check for check in check_embeddings(bench.lab, NICHE)}
    assert checks["complete"].passed
    assert checks["complete"].explanation.endswith(
        f"the encoder gives no vector for {dark}, {lost} (`thumblab index rebuild {NICHE}` tries again)"
    )
    baselines.compute_baselines(bench.lab, NICHE)
    assert build.build_index(bench.lab, NICHE).release.info["count"] == len(others) + 1
    bench.pictures = CountingPictures("another-768")
    assert embed.embed(bench.lab, NICHE).images == len(others) + 2  # This encoder is new, so it tries every picture.
    bench.do(update(videos).where(videos.c.video_id == lost).values(title=f"{title}!"))
    # The title encoder is still the same. It encodes only the title that has changed.
    assert embed.embed(bench.lab, NICHE).titles == 1


def test_the_check_fails_if_the_encoder_gives_no_vector_for_most_pictures(bench: Bench) -> None:
    bench.pictures = FailingPictures(range(len(bench.ids()) - 2))
    embed.embed(bench.lab, NICHE)
    checks = {check.name: check for check in check_embeddings(bench.lab, NICHE)}
    assert not checks["complete"].passed
    assert "its model is damaged" in checks["complete"].explanation


def test_the_check_fails_for_a_vector_that_is_not_of_length_one(bench: Bench) -> None:
    embed.embed(bench.lab, NICHE)
    bench.do(text("UPDATE embeddings SET vector = (SELECT array_fill(0.5, ARRAY[768])::vector) WHERE encoder <> 'x'"))
    assert not passed(check_embeddings(bench.lab, NICHE))["unit_length"]


@pytest.mark.slow
def test_every_picture_is_measured_once_and_again_when_the_formulas_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = len(bench.ids())
    first, again = (sub_scores.measure_features(bench.lab, NICHE) for _ in range(2))
    assert (first.had, first.measured, again.had, again.measured) == (0, count, count, 0)
    monkeypatch.setattr(meter, "FORMULAS", "next")
    assert sub_scores.measure_features(bench.lab, NICHE).measured == count
    rows = bench.rows(select(visual_features))
    assert len(rows) == count
    assert all(0 < row.clarity < 1 for row in rows)
    assert all(len(row.evidence["saliency"]) == 9 and row.evidence["faces"] is None for row in rows)
    assert all((row.title_match is None) == (row.evidence["title_match_by"] is None) for row in rows)
    assert passed(sub_scores.check_features(bench.lab, NICHE)) == {"complete": True, "in_range": True}
    bench.do(update(visual_features).values(clarity=1.5))
    assert not passed(sub_scores.check_features(bench.lab, NICHE))["in_range"]


def test_the_fixture_leaves_nothing_to_download(bench: Bench) -> None:
    """Check that the lab of the fixture `bench` has the thumbnails of all its videos already."""
    assert download.download_thumbnails(bench.lab, NICHE).had == len(bench.ids())
