"""Promises of embedding, measuring and the index: nothing twice, nothing mixed, nothing bad served."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, func, insert, select, text, update

from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import (
    embeddings,
    library_exclusions,
    thumbnails,
    video_stats,
    videos,
    visual_features,
)
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release_store import INDEX, Release
from thumblab_core.settings import Settings
from thumblab_core.sub_scores import meter
from thumblab_pipelines.collection import download
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.features import baselines, embed, learnt_vectors, sub_scores
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library import build

NICHE = "tech"
TITLES = "sentence-test"


class Titles:
    """A title encoder that costs nothing: MiniLM has tests of its own."""

    fingerprint = TITLES
    dimension = 4

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        self.encoded += texts
        vectors = np.array([[len(t), t.count("e"), t.count(" "), 1] for t in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Pictures(BuiltinEncoder):
    """The built-in encoder, counting what it is given, and failing where it is told to."""

    def __init__(self, fingerprint: str = BuiltinEncoder.fingerprint, dies_at_batch: int | None = None) -> None:
        self.fingerprint = fingerprint  # type: ignore[misc]
        self._dies_at = dies_at_batch
        self.batches: list[int] = []

    def encode_prepared(self, prepared: Sequence[Vectors]) -> Vectors:
        self.batches.append(len(prepared))
        if len(self.batches) == self._dies_at:
            raise ZeroDivisionError
        return super().encode_prepared(prepared)


class Blind(Pictures):
    """Makes NaN or zeros of the pictures at these places, in the order they come."""

    def __init__(self, places: Sequence[int]) -> None:
        super().__init__()
        self._places = places

    def encode_prepared(self, prepared: Sequence[Vectors]) -> Vectors:
        first = sum(self.batches)
        vectors = super().encode_prepared(prepared)
        for row in range(len(vectors)):
            if first + row in self._places:
                vectors[row] = np.nan if row % 2 == 0 else 0.0
        return vectors


class Deaf(Titles):
    """Makes infinities of one title."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        vectors = super().encode_texts(texts)
        vectors[[text == self._title for text in texts]] = np.inf
        return vectors


class Bench:
    """A lab of one niche, and the encoders that its steps find."""

    def __init__(self, lab: Lab, patch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        self.titles = Titles()
        self._patch = patch
        for module in (embed, sub_scores, build):
            patch.setattr(module, "image_encoder", lambda _: self.pictures)
        patch.setattr(embed, "title_encoder", lambda _: self.titles)
        self.pictures = Pictures()

    def rows(self, statement: Any) -> list[Any]:
        with self.lab.engine.connect() as connection:
            return list(connection.execute(statement))

    def do(self, statement: Any) -> None:
        with self.lab.engine.begin() as connection:
            connection.execute(statement)

    def vectors(self, encoder: str) -> int:
        return int(self.rows(select(func.count()).where(embeddings.c.encoder == encoder))[0][0])

    def ready(self) -> "Bench":
        embed.embed(self.lab, NICHE)
        baselines.compute_baselines(self.lab, NICHE)
        return self

    def ids(self) -> list[str]:
        return [row.video_id for row in self.rows(select(videos.c.video_id).order_by(videos.c.video_id))]


@pytest.fixture
def bench(
    open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue, small: Any, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    with Emulator(catalogue) as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint, youtube_api_key="k", data_dir=small.lab.settings.data_dir)
        lab = dataclasses.replace(lab, releases=type(lab.releases)(lab.settings.data_dir / lab.engine.url.database))
        collect(lab, NICHE)
    # The pictures are in the small lab's store already: only their rows are copied.
    with small.lab.engine.connect() as source, lab.engine.begin() as target:
        known = source.execute(select(thumbnails).join(videos).where(videos.c.niche == NICHE)).mappings().all()
        target.execute(thumbnails.insert(), [dict(row) for row in known])
    return Bench(lab, monkeypatch)


def verdicts(found: list[Any]) -> dict[str, bool]:
    return {verdict.name: verdict.passed for verdict in found}


def test_every_picture_and_title_gets_its_vector_and_nothing_is_encoded_twice(bench: Bench) -> None:
    count = len(bench.ids())
    first, again = embed.embed(bench.lab, NICHE), embed.embed(bench.lab, NICHE)
    assert (first.had, first.images, first.titles) == (0, count, count)
    assert (again.had, again.images, again.titles) == (2 * count, 0, 0)
    assert sum(bench.pictures.batches) == len(bench.titles.encoded) == count
    assert verdicts(embed.check_embeddings(bench.lab, NICHE)) == {"complete": True, "unit_length": True}


def test_batches_that_were_committed_survive_a_crash_in_the_middle(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learnt_vectors, "_SAVED_AT_ONCE", 8)
    bench.pictures = Pictures(dies_at_batch=3)
    with pytest.raises(ZeroDivisionError):
        embed.embed(bench.lab, NICHE)
    assert bench.vectors(bench.pictures.fingerprint) == 12  # the batches of 4 and of 8
    assert not verdicts(embed.check_embeddings(bench.lab, NICHE))["complete"]
    bench.pictures = Pictures()
    again = embed.embed(bench.lab, NICHE)
    assert (again.had, again.images) == (12, len(bench.ids()) - 12)
    assert sum(bench.pictures.batches) == len(bench.ids()) - 12


def test_a_title_that_changed_is_encoded_again_and_the_others_are_not(bench: Bench) -> None:
    embed.embed(bench.lab, NICHE)
    bench.titles.encoded.clear()
    bench.do(update(videos).where(videos.c.video_id == bench.ids()[0]).values(title="Another title"))
    again = embed.embed(bench.lab, NICHE)
    assert (again.images, again.titles) == (0, 1)
    assert bench.titles.encoded == ["Another title"]


def test_a_picture_that_changed_is_encoded_again_and_until_then_not_in_the_library(bench: Bench) -> None:
    bench.ready()
    one, other = bench.ids()[:2]
    sha256 = bench.rows(select(thumbnails.c.sha256).where(thumbnails.c.video_id == other))[0][0]
    bench.do(update(thumbnails).where(thumbnails.c.video_id == one).values(sha256=sha256))
    assert bench.rows(text(f"SELECT 1 FROM ref_thumbnails WHERE video_id = '{one}'")) == []
    assert embed.embed(bench.lab, NICHE).images == 1
    assert len(bench.rows(text(f"SELECT 1 FROM ref_thumbnails WHERE video_id = '{one}'"))) == 1


def test_another_encoder_adds_its_own_vectors_and_mixes_with_none(bench: Bench) -> None:
    bench.ready()
    count = len(bench.ids())
    first = bench.pictures.fingerprint
    bench.pictures = Pictures("another-768")
    assert embed.embed(bench.lab, NICHE).images == count
    assert (bench.vectors(first), bench.vectors("another-768")) == (count, count)
    built = build.build_index(bench.lab, NICHE)
    assert (built.release.info["encoder"], built.release.info["count"]) == ("another-768", count)


def test_a_damaged_picture_is_named_and_does_not_stop_the_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = bench.rows(select(thumbnails.c.sha256).order_by(thumbnails.c.video_id))[0][0]
    real = bench.lab.images.get
    monkeypatch.setattr(bench.lab.images, "get", lambda name: real("0" * 64 if name == bad else name))
    found, measured = embed.embed(bench.lab, NICHE), sub_scores.measure_features(bench.lab, NICHE)
    assert found.images == measured.measured == len(bench.ids()) - 1
    assert [entry.split(":")[0] for entry in found.unreadable] == [bench.ids()[0]]
    assert len(measured.unreadable) == 1


def test_a_picture_and_a_title_without_a_vector_are_named_left_out_and_not_encoded_again_by_the_same_encoder(
    bench: Bench,
) -> None:
    dark, lost, *others = bench.ids()
    (title,) = bench.rows(select(videos.c.title).where(videos.c.video_id == lost))[0]
    bench.pictures = Blind([0])
    bench.titles = Deaf(title)
    for again in (False, True):
        found = embed.embed(bench.lab, NICHE)
        assert [name.split(":")[0] for name in found.without] == [dark, lost]
        assert "its thumbnail: the encoder gives no vector" in found.without[0]
        assert "its title: the encoder gives no vector" in found.without[1]
        assert (found.images, found.titles) == ((0, 0) if again else (len(others) + 1,) * 2)
    assert sum(bench.pictures.batches) == len(others) + 2
    assert bench.titles.encoded.count(title) == 1
    judged = {verdict.name: verdict for verdict in embed.check_embeddings(bench.lab, NICHE)}
    assert judged["complete"].passed
    assert judged["complete"].explanation.endswith(
        f"the encoder gives no vector for {dark}, {lost} (`thumblab index rebuild {NICHE}` tries again)"
    )
    baselines.compute_baselines(bench.lab, NICHE)
    assert build.build_index(bench.lab, NICHE).release.info["count"] == len(others) + 1
    bench.pictures = Pictures("another-768")
    assert embed.embed(bench.lab, NICHE).images == len(others) + 2  # another encoder is asked
    bench.do(update(videos).where(videos.c.video_id == lost).values(title=f"{title}!"))
    assert embed.embed(bench.lab, NICHE).titles == 1  # and so is the same one of another title


def test_an_encoder_that_fails_at_most_pictures_fails_the_check(bench: Bench) -> None:
    bench.pictures = Blind(range(len(bench.ids()) - 2))
    embed.embed(bench.lab, NICHE)
    judged = {verdict.name: verdict for verdict in embed.check_embeddings(bench.lab, NICHE)}
    assert not judged["complete"].passed
    assert "its model is damaged" in judged["complete"].explanation


def test_a_vector_of_another_length_is_noticed(bench: Bench) -> None:
    embed.embed(bench.lab, NICHE)
    bench.do(text("UPDATE embeddings SET vector = (SELECT array_fill(0.5, ARRAY[768])::vector) WHERE encoder <> 'x'"))
    assert not verdicts(embed.check_embeddings(bench.lab, NICHE))["unit_length"]


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
    assert verdicts(sub_scores.check_features(bench.lab, NICHE)) == {"complete": True, "in_range": True}
    bench.do(update(visual_features).values(clarity=1.5))
    assert not verdicts(sub_scores.check_features(bench.lab, NICHE))["in_range"]


def test_an_index_holds_the_library_and_is_built_once(bench: Bench) -> None:
    bench.ready()
    first, again = build.build_index(bench.lab, NICHE, "run"), build.build_index(bench.lab, NICHE)
    assert (first.reused, again.reused) == (False, True)
    assert again.release == first.release
    assert len(bench.lab.releases.all(INDEX, NICHE)) == 1
    index = NicheIndex.load(first.release)
    assert sorted(item.video_id for item in index.items) == bench.ids()
    assert all(item.outlier_multiple for item in index.items)
    assert all(verdict.passed for verdict in build.check_index(bench.lab, first.release))
    assert bench.lab.releases.current(INDEX, NICHE) is None


def test_a_new_observation_makes_a_new_release(bench: Bench) -> None:
    first = build.build_index(bench.ready().lab, NICHE)
    bench.do(update(video_stats).where(video_stats.c.video_id == bench.ids()[0]).values(view_count=10**7))
    assert not build.build_index(bench.lab, NICHE).reused
    assert len(bench.lab.releases.all(INDEX, NICHE)) == 2
    assert bench.lab.releases.get(INDEX, NICHE, first.release.release_id) == first.release


def test_a_video_that_was_long_not_seen_leaves_the_library(bench: Bench) -> None:
    bench.ready()
    bench.do(text("UPDATE video_stats SET observed_at = observed_at - interval '91 days'"))
    latest = bench.ids()[:4]
    bench.do(
        text("UPDATE video_stats SET observed_at = observed_at + interval '91 days' WHERE video_id = ANY(:ids)")
        .bindparams(ids=latest)
    )  # fmt: skip
    assert build.build_index(bench.lab, NICHE).release.info["count"] == 4
    bench.do(insert(library_exclusions).values([{"video_id": name} for name in latest]))
    with pytest.raises(LabError, match="first collected or last observed more than 90 days before the newest"):
        build.build_index(bench.lab, NICHE)


def test_an_empty_library_is_an_error_that_says_what_to_do(bench: Bench) -> None:
    with pytest.raises(LabError, match="library of tech is empty: none of its"):
        build.build_index(bench.lab, NICHE)
    with pytest.raises(LabError, match="has no index release; `thumblab refresh tech` makes one"):
        build.promote_index(bench.lab, NICHE)


def served(bench: Bench) -> Release:
    build.build_index(bench.ready().lab, NICHE)
    return build.promote_index(bench.lab, NICHE).release


def keeps(bench: Bench, release: Release) -> bool:
    return bench.lab.releases.current(INDEX, NICHE) == release


def test_promoting_serves_the_newest_and_promoting_again_changes_nothing(bench: Bench) -> None:
    release = served(bench)
    assert keeps(bench, release)
    assert verdicts(build.check_served_index(bench.lab, release)) == {"pointer": True}
    pointer = release.path.parent / "CURRENT"
    before = pointer.stat().st_mtime_ns
    assert build.promote_index(bench.lab, NICHE).release == release
    assert pointer.stat().st_mtime_ns == before


def test_a_damaged_release_is_not_promoted_and_the_old_one_stays(bench: Bench) -> None:
    release = served(bench)
    bench.do(update(video_stats).values(view_count=77))
    newer = build.build_index(bench.lab, NICHE).release
    data = bytearray((newer.path / "index.faiss").read_bytes())
    data[len(data) // 2] ^= 1
    (newer.path / "index.faiss").write_bytes(data)
    assert verdicts(build.check_index(bench.lab, newer)) == {"intact": False}
    with pytest.raises(LabError, match=r"is not promoted: .*checksum"):
        build.promote_index(bench.lab, NICHE)
    assert keeps(bench, release)


def test_a_release_of_another_encoder_than_the_settings_say_is_not_promoted(bench: Bench) -> None:
    release = served(bench)
    bench.pictures = Pictures("another-768")
    with pytest.raises(LabError, match="made with builtin-768-v3, the settings say another-768"):
        build.promote_index(bench.lab, NICHE)
    assert keeps(bench, release)


def test_a_library_that_lost_more_than_half_is_not_promoted_and_one_that_lost_less_is(bench: Bench) -> None:
    release = served(bench)
    half = len(bench.ids()) // 2
    bench.do(delete(videos).where(videos.c.video_id.in_(bench.ids()[: half + 1])))
    build.build_index(bench.lab, NICHE)
    with pytest.raises(LabError, match=r"is not promoted: \d+ thumbnails; \d+ are served now"):
        build.promote_index(bench.lab, NICHE)
    assert keeps(bench, release)


def test_a_library_that_lost_a_few_is_promoted(bench: Bench) -> None:
    release = served(bench)
    bench.do(delete(videos).where(videos.c.video_id.in_(bench.ids()[:3])))
    build.build_index(bench.lab, NICHE)
    assert build.promote_index(bench.lab, NICHE).release != release


def test_after_a_change_of_encoder_the_size_is_not_compared(bench: Bench) -> None:
    served(bench)
    bench.do(delete(videos).where(videos.c.video_id.in_(bench.ids()[4:])))
    bench.pictures = Pictures("another-768")
    build.build_index(bench.ready().lab, NICHE)
    assert build.promote_index(bench.lab, NICHE).release.info["encoder"] == "another-768"


def test_old_releases_are_removed_and_the_settings_say_how_many_stay(bench: Bench) -> None:
    bench.ready()
    kept = dataclasses.replace(
        bench.lab, settings=Settings(**(bench.lab.settings.model_dump(exclude_unset=True) | {"releases_kept": 2}))
    )
    for views in range(100, 105):
        bench.do(update(video_stats).values(view_count=views))
        build.build_index(kept, NICHE)
        build.promote_index(kept, NICHE)
    assert len(kept.releases.all(INDEX, NICHE)) == 2


def test_the_download_finds_nothing_to_do_here(bench: Bench) -> None:
    """The fixture of this module stands in for a download that was made: there must be nothing left of it to make."""
    assert download.download_thumbnails(bench.lab, NICHE).had == len(bench.ids())
