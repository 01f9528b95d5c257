"""What adding a channel promises, on a lab of its own with a model that knows nothing of anybody's taste."""

import csv
import dataclasses
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, func, select, update

from thumblab_core.database.tables import channels, embeddings, thumbnail_versions, videos
from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.load import image_encoder, title_encoder
from thumblab_core.errors import LabError
from thumblab_core.images import decode
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapters
from thumblab_core.ranking.ranker import Ranker, RankerConfig, join
from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.channels.adapter import fit_channel_adapter, growth_of, refit_channel_adapters
from thumblab_pipelines.channels.adapter_videos import read_own
from thumblab_pipelines.channels.add import add_channel, list_channels, remove_channel
from thumblab_pipelines.channels.collect import find_channel
from thumblab_pipelines.dataset.corpus import read_corpus
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.names import channel_id_of

TASTE, FEW = "The Blue Channel", "Three Videos"
TINTS = {"blue": (20, 60, 230), "red": (230, 60, 20)}


def picture(draw: Callable[..., bytes], seed: int, tint: str) -> bytes:
    drawn = Image.open(io.BytesIO(draw(seed))).convert("RGB")
    out = io.BytesIO()
    Image.blend(drawn, Image.new("RGB", drawn.size, TINTS[tint]), 0.55).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, drawn: Callable[..., bytes]) -> Path:
    """Sixty videos of a channel whose viewers come for blue, and three of another; one is a minute too short."""
    folder = tmp_path_factory.mktemp("catalogue")
    random = np.random.default_rng(0)
    start = datetime(2026, 6, 1, tzinfo=UTC)
    rows: list[dict[str, Any]] = []
    for n, channel in enumerate([TASTE] * 61 + [FEW] * 3):
        tint = "blue" if random.random() < 0.5 else "red"
        (folder / f"{n}.jpg").write_bytes(picture(drawn, n, tint))
        views = 10_000 * np.exp((1.2 if tint == "blue" else 0.0) + 0.3 * random.standard_normal())
        rows.append(
            {
                "video_id": f"video{n:06d}",
                "niche": "tech",
                "channel": channel,
                "title": f"Episode {n}",
                "views": int(views),
                "published_on": (start + timedelta(days=n)).date().isoformat(),
                "observed_at": "2026-11-01",
                "duration_s": 30 if n == 7 else 600,
                "image": f"{n}.jpg",
            }
        )
    with (folder / "videos.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def serve(drawn: Callable[..., bytes]) -> Callable[..., Release]:
    """Serves a model that knows what pictures look like and gives every one the same score."""
    import torch

    images, titles = BuiltinEncoder(), title_encoder("minilm")
    vectors = images.encode_images([decode(picture(drawn, 900 + n, ("blue", "red")[n % 2])).pixels for n in range(40)])
    texts = [f"Episode {n}" for n in range(40)]

    def publish(lab: Lab, seed: int = 0, **info: Any) -> Release:
        torch.manual_seed(seed)
        model = Ranker(RankerConfig(images.fingerprint, titles.fingerprint, images.dimension, 384, hidden=16))
        model.fit_scale(join(vectors, titles.encode_texts(texts), texts))
        model.start(np.zeros(model.config.inputs, np.float32), 1.0)
        trained = TrainedRanker(model, Calibration(1.0, {}, 1.0), {"seed": seed, "kept": 0.5})
        said = {"image_encoder": images.fingerprint, "title_encoder": titles.fingerprint}
        release = lab.releases.publish(MODEL, ALL, trained.save, said | {"image_encoder_name": "builtin"} | info)
        lab.releases.serving.promote(release)
        return release

    return publish


@pytest.fixture(scope="module")
def lab(open_lab: Callable[..., Lab], serve: Callable[..., Release]) -> Lab:
    lab = open_lab()
    serve(lab)
    return lab


@pytest.fixture(scope="module")
def added(lab: Lab, folder: Path) -> Any:
    return add_channel(lab, TASTE, folder)


def count(lab: Lab, table: Any) -> int:
    with lab.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_a_planted_taste_is_found_and_the_check_says_so(added: Any, lab: Lab) -> None:
    fitted = added.fitted
    assert (fitted.channel_id, fitted.adapted, fitted.videos) == (channel_id_of(TASTE), True, 60)
    assert fitted.left_out == {"up to 180 s and of unknown shape (may be a Short)": 1}
    assert fitted.check.unadapted == 0.5
    assert fitted.check.adapted > 0.65
    assert fitted.check.gained > 0.1
    # Of twelve newest videos not much can be said, and no more is.
    sure = "It helps: AUC 0." if fitted.check.low > 0 else "It seems to help, but that may be chance: AUC 0."
    assert fitted.check.verdict.startswith(sure)
    assert fitted.newest.startswith("2026-07-31")
    assert fitted.release == lab.releases.serving.current_id(ADAPTER, fitted.channel_id)


def test_what_may_be_a_short_or_was_counted_before_it_was_published_is_left_out_as_at_training(
    open_lab: Callable[..., Lab], serve: Callable[..., Release], folder: Path
) -> None:
    from thumblab_pipelines.collection.catalogue import import_catalogue

    lab = open_lab()
    model = serve(lab)
    import_catalogue(lab, folder)
    changes: dict[str, dict[str, Any]] = {
        "video000001": {"duration_s": 120},
        "video000002": {"duration_s": 120, "aspect_ratio": 1.78},
        "video000003": {"published_at": datetime(2026, 11, 2, tzinfo=UTC)},
    }
    with lab.engine.begin() as connection:
        for video_id, changed in changes.items():
            connection.execute(update(videos).where(videos.c.video_id == video_id).values(**changed))
    _, left_out = read_own(lab, channel_id_of(TASTE), model)
    assert left_out["up to 180 s and of unknown shape (may be a Short)"] == 2  # and the one of 30 s
    assert left_out["counted before it was published"] == 1


def test_the_history_moves_the_scores_of_new_pictures_towards_the_taste(added: Any, lab: Lab, drawn: Any) -> None:
    history = ChannelAdapters(lab.releases).load(added.fitted.channel_id, added.fitted.release)
    ranker = TrainedRanker.load(lab.releases.serving.current(MODEL, ALL))
    tints, texts = ["blue", "red"] * 10, ["Episode 99"] * 20
    pictures = [decode(picture(drawn, 500 + n, tint)).pixels for n, tint in enumerate(tints)]
    images, titles = image_encoder(lab.settings).encode_images(pictures), title_encoder("minilm").encode_texts(texts)
    assert np.ptp(ranker.predict(images, titles, texts).score) == 0
    adapted = ranker.predict(images, titles, texts, history.adapter).score
    assert adapted[::2].mean() > adapted[1::2].mean() + 0.05


def test_adding_again_encodes_nothing_and_changes_nothing(added: Any, lab: Lab, folder: Path) -> None:
    before = count(lab, embeddings)
    again = add_channel(lab, channel_id_of(TASTE), folder)
    assert (again.encoded, again.fitted.unchanged, again.fitted.release) == (0, True, added.fitted.release)
    assert add_channel(lab, TASTE).fitted.unchanged
    assert count(lab, embeddings) == before


def test_only_what_the_channel_lacks_is_encoded(open_lab: Callable[..., Lab], serve: Any, folder: Path) -> None:
    lab = open_lab()
    serve(lab)
    assert add_channel(lab, FEW, folder).encoded == 6  # three pictures and three titles, of 64 videos


def test_too_few_videos_are_counted_and_answers_are_not_adapted(added: Any, lab: Lab, folder: Path) -> None:
    few = add_channel(lab, FEW, folder).fitted
    assert (few.adapted, few.videos, few.check) == (False, 3, None)
    assert [one.fault for one in list_channels(lab) if one.title == FEW] == ["3 of 5 videos"]


def test_a_channel_must_be_told_where_there_are_several_or_none(lab: Lab, folder: Path) -> None:
    with pytest.raises(LabError, match=r"holds 2 channels, name one of them: 'The Blue Channel', 'Three Videos'"):
        add_channel(lab, None, folder)
    with pytest.raises(LabError, match="none is called 'Nobody'"):
        add_channel(lab, "Nobody", folder)
    with pytest.raises(LabError, match="no videos of 'Nobody'; set THUMBLAB_YOUTUBE_API_KEY"):
        add_channel(lab, "Nobody")
    with pytest.raises(LabError, match="name the channel"):
        add_channel(lab, None)


def test_the_only_channel_of_a_catalogue_needs_no_name(lab: Lab, folder: Path, tmp_path: Path) -> None:
    lines = (folder / "videos.csv").read_text().splitlines()
    kept = [lines[0], *(line for line in lines if FEW in line)]
    (tmp_path / "videos.csv").write_text("\n".join(kept))
    for n in range(61, 64):
        (tmp_path / f"{n}.jpg").write_bytes((folder / f"{n}.jpg").read_bytes())
    assert add_channel(lab, None, tmp_path).fitted.title == FEW


def test_a_lab_without_a_model_says_what_makes_one(open_lab: Callable[..., Lab], folder: Path) -> None:
    with pytest.raises(LabError, match="train_ranker"):
        add_channel(open_lab(), TASTE, folder)


def test_views_are_corrected_by_age_as_the_training_of_the_model_did(lab: Lab) -> None:
    model = TrainedRanker.load(lab.releases.serving.current(MODEL, ALL)).model
    said = {"growth": {"half_age": 17.0, "histories": 99}}
    assert growth_of(TrainedRanker(model, Calibration(1.0, {}, 1.0), said)).half_age == 17.0


@pytest.fixture
def own(open_lab: Callable[..., Lab], serve: Any, folder: Path) -> Lab:
    """A lab with both channels added, to be changed."""
    lab = open_lab()
    serve(lab)
    for name in (TASTE, FEW):
        add_channel(lab, name, folder)
    return lab


def test_after_a_new_model_every_history_is_learnt_anew_and_one_that_fails_stops_no_other(own: Lab, serve: Any) -> None:
    from thumblab_pipelines.channels import adapter

    before = {one.channel_id: one.release for one in list_channels(own)}
    model = serve(own, seed=1)
    assert {one.fault for one in list_channels(own)} == {"of another model; add it again"}
    fit = adapter.fit_channel_adapter

    def broken(lab: Lab, channel: Any, *rest: Any) -> Any:
        if channel.title == FEW:
            raise ValueError("a bad day")
        return fit(lab, channel, *rest)

    adapter.fit_channel_adapter = broken
    try:
        found = refit_channel_adapters(own, model)
    finally:
        adapter.fit_channel_adapter = fit
    assert found.fitted == [channel_id_of(TASTE)]
    assert found.failed == {channel_id_of(FEW): "ValueError: a bad day"}
    after = {one.channel_id: one for one in list_channels(own)}
    assert after[channel_id_of(TASTE)].fault is None
    assert after[channel_id_of(FEW)].release == before[channel_id_of(FEW)]
    assert refit_channel_adapters(own).fitted == [channel_id_of(FEW)]
    assert refit_channel_adapters(own).unchanged == sorted([channel_id_of(TASTE), channel_id_of(FEW)])


def test_while_another_model_is_served_nothing_is_learnt_for_the_one_before(own: Lab, serve: Any) -> None:
    mine, old = channel_id_of(TASTE), own.releases.serving.current(MODEL, ALL)
    channel = find_channel(own, TASTE)
    assert channel is not None
    new = serve(own, seed=1)
    refit_channel_adapters(own, new)
    served = own.releases.serving.current_id(ADAPTER, mine)
    with pytest.raises(LabError, match="another model is served meanwhile; run it again") as raised:
        fit_channel_adapter(own, channel, old)
    assert raised.value.transient
    assert own.releases.serving.current_id(ADAPTER, mine) == served


def test_the_check_asks_for_no_video_that_the_model_was_trained_on(own: Lab, serve: Any) -> None:
    from thumblab_pipelines.dataset.seen_videos import SEEN, fingerprints

    channel = find_channel(own, TASTE)
    assert channel is not None
    ids = ChannelAdapters(own.releases).videos(channel.channel_id)
    before = own.releases.serving.current(MODEL, ALL)

    def checked(seen: list[str]) -> Any:
        release = own.releases.publish(
            MODEL,
            ALL,
            lambda folder: np.save(folder / SEEN, fingerprints(seen)),
            {**before.info, "seen": len(seen)},
            sharing=before,
        )
        own.releases.serving.promote(release)
        return fit_channel_adapter(own, channel, release).check

    everything, some = checked(["none of them"]), checked(ids[-4:])
    assert some.pairs < everything.pairs
    assert checked(ids[48:]) is None


def test_a_hash_keeps_its_low_bits_beside_a_picture_without_one(own: Lab) -> None:
    hashes = [2**62 + 1, -(2**63) + 3]
    model = own.releases.serving.current(MODEL, ALL)
    ids = ChannelAdapters(own.releases).videos(channel_id_of(TASTE))[:3]
    with own.engine.begin() as connection:
        for name, phash in zip(ids, [*hashes, None], strict=True):
            connection.execute(
                thumbnail_versions.update().where(thumbnail_versions.c.video_id == name).values(phash=phash)
            )
    mine = read_own(own, channel_id_of(TASTE), model)[0]
    corpus = read_corpus(own, model.info["image_encoder"], model.info["title_encoder"])
    for table in (mine, corpus):
        found = table.set_index("video_id").phash[ids]
        assert found[:2].tolist() == hashes
        assert found.isna().tolist() == [False, False, True]
    assert fit_channel_adapter(own, find_channel(own, TASTE), model).check is not None


def test_a_history_forgets_with_its_videos(own: Lab) -> None:
    histories, mine = ChannelAdapters(own.releases), channel_id_of(TASTE)
    gone = histories.videos(mine)[:50]
    with own.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.video_id.in_(gone)))
    assert mine in refit_channel_adapters(own).fitted
    assert len(histories.videos(mine)) == 10
    assert not set(histories.videos(mine)) & set(gone)
    assert len(own.releases.all(ADAPTER, mine)) == 1  # no older release keeps what was forgotten
    with own.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.channel_id == mine))
    refit_channel_adapters(own)
    assert histories.load(mine, histories.current_id(mine) or "").adapter is None
    with own.engine.begin() as connection:
        connection.execute(delete(channels).where(channels.c.channel_id == mine))
    assert "does not know" in refit_channel_adapters(own).failed[mine]
    assert mine not in histories.channels()


def test_removing_withdraws_and_deletes(own: Lab) -> None:
    assert remove_channel(own, TASTE) == channel_id_of(TASTE)
    assert own.releases.serving.current_id(ADAPTER, channel_id_of(TASTE)) is None
    assert own.releases.all(ADAPTER, channel_id_of(TASTE)) == []
    assert [one.title for one in list_channels(own)] == [FEW]
    with pytest.raises(LabError, match="no history of 'The Blue Channel' was added"):
        remove_channel(own, TASTE)


def test_a_damaged_history_is_listed_as_such_and_mended_by_adding_it_again(own: Lab) -> None:
    mine = channel_id_of(TASTE)
    release = own.releases.serving.current(ADAPTER, mine)
    (release.path / "adapters.safetensors").write_bytes(b"x")
    assert "does not match its checksum" in str({one.channel_id: one.fault for one in list_channels(own)}[mine])
    (release.path.parent / "CURRENT").write_bytes(b"\xff\xfe")
    assert "pointer" in str({one.channel_id: one.fault for one in list_channels(own)}[mine])
    assert refit_channel_adapters(own).unchanged == [channel_id_of(FEW)]
    assert add_channel(own, TASTE).fitted.release != release.release_id
    assert {one.channel_id: one.fault for one in list_channels(own)}[mine] is None


def test_of_videos_that_did_not_opt_in_nothing_is_learnt_where_the_lab_says_so(lab: Lab, added: Any) -> None:
    with lab.engine.begin() as connection:
        connection.execute(videos.update().where(videos.c.title == "Episode 3").values(source="youtube"))
    strict = dataclasses.replace(lab, settings=lab.settings.model_copy(update={"train_only_on_opted_in": True}))
    channel = find_channel(lab, TASTE)
    assert channel is not None
    model = lab.releases.serving.current(MODEL, ALL)
    assert fit_channel_adapter(strict, channel, model).left_out["not opted in to training"] == 1


def test_an_unknown_channel_is_collected_from_youtube_with_pictures_and_known_ones_only_when_asked(
    small: Any, open_lab: Callable[..., Lab], serve: Any
) -> None:
    channel = next(iter(small.catalogue.videos.values())).channel_id
    uploads = [video for video in small.catalogue.videos.values() if video.channel_id == channel]
    settings = small.lab.settings
    lab = open_lab(youtube_endpoint=settings.youtube_endpoint, youtube_api_key=settings.youtube_api_key)
    serve(lab)
    with pytest.raises(LabError, match="say which --niche"):
        add_channel(lab, channel)
    asked = small.emulator.counts.calls
    found = add_channel(lab, channel, niche=uploads[0].niche)
    assert found.fitted.adapted
    assert found.fitted.videos == len(uploads)
    assert found.encoded == 2 * len(uploads)
    calls = small.emulator.counts.calls
    spent = {name: calls[name] - asked.get(name, 0) for name in calls if calls[name] != asked.get(name, 0)}
    assert sum(spent.values()) <= 5
    assert add_channel(lab, channel).encoded == 0
    assert small.emulator.counts.calls == calls
    assert add_channel(lab, channel, refresh=True).encoded == 0
    assert small.emulator.counts.calls != calls
    with pytest.raises(LabError, match="YouTube knows no channel"):
        add_channel(lab, "UC" + "x" * 22, niche="tech")
    with pytest.raises(LabError, match="no channel called"):
        add_channel(lab, "A Title of Nobody's", niche="tech")


def test_a_video_forgotten_while_a_history_is_learnt_is_left_out_of_it_and_stops_nothing(
    folder: Path, serve: Callable[..., Release], open_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_pipelines.channels import adapter

    mine = open_lab()
    model = serve(mine)
    add_channel(mine, TASTE, folder)
    read = adapter.read_own

    def late(lab: Lab, channel_id: str, model: Release) -> Any:
        found, left_out = read(lab, channel_id, model)
        with lab.engine.begin() as connection:
            connection.execute(delete(videos).where(videos.c.video_id == found.video_id[0]))
        return found, left_out

    monkeypatch.setattr(adapter, "read_own", late)
    channel = find_channel(mine, TASTE)
    assert channel is not None
    fitted = fit_channel_adapter(mine, channel, model)
    assert (fitted.videos, fitted.left_out["forgotten meanwhile"]) == (59, 1)
