"""Tests of adding a channel.

A channel adapter is fitted to the channel's videos. The tests check which videos the adapter is fitted to, and what it
learns from these videos. The videos are imported from a catalogue or collected from YouTube.
"""

import dataclasses
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from channel_catalogue import FEW, TASTE, TASTE_ID, picture
from sqlalchemy import delete, func, select, update

from thumblab_core.database.channels import Channel
from thumblab_core.database.tables import embeddings, thumbnail_versions, videos
from thumblab_core.encoders.load import image_encoder, title_encoder
from thumblab_core.errors import LabError
from thumblab_core.images import decode
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapters
from thumblab_core.ranking.trained_ranker import Calibration, TrainedRanker
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.channels import adapter
from thumblab_pipelines.channels.adapter import fit_channel_adapter, growth_of
from thumblab_pipelines.channels.adapter_videos import read_channel_videos
from thumblab_pipelines.channels.add import AddedChannel, add_channel, list_channels, remove_channel
from thumblab_pipelines.dataset.corpus import read_corpus
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.records import ChannelRecord, save_channels

CHANNEL = Channel(TASTE_ID, TASTE)


def count(lab: Lab, table: Any) -> int:
    with lab.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_an_adapter_learns_the_taste_of_a_channel_and_its_evaluation_shows_it(added: AddedChannel, lab: Lab) -> None:
    fitted = added.fitted
    assert (fitted.channel_id, fitted.adapted, fitted.videos) == (TASTE_ID, True, 60)
    assert fitted.left_out == {"up to 180 s and of unknown shape (may be a Short)": 1}
    assert fitted.check is not None
    assert fitted.check.unadapted == 0.5
    assert fitted.check.adapted > 0.65
    assert fitted.check.gained > 0.1
    # The adapter is evaluated on only the twelve newest videos. The confidence interval of its gain in AUC is therefore
    # wide, and its lower end `low` may be negative. The first words of the summary depend on the sign of `low`.
    start = "It helps: AUC 0." if fitted.check.low > 0 else "It seems to help, but that may be chance: AUC 0."
    assert fitted.check.summary.startswith(start)
    assert str(fitted.newest).startswith("2026-07-31")
    assert fitted.release == lab.releases.serving.current_id(ADAPTER, fitted.channel_id)


def test_possible_shorts_and_videos_counted_before_publication_are_left_out(
    open_lab: Callable[..., Lab], serve: Callable[..., Release], catalogue_folder: Path
) -> None:
    from thumblab_pipelines.collection.catalogue import import_catalogue

    lab = open_lab()
    model = serve(lab)
    import_catalogue(lab, catalogue_folder)
    changes: dict[str, dict[str, Any]] = {
        "video000001": {"duration_s": 120},
        "video000002": {"duration_s": 120, "aspect_ratio": 1.78},
        "video000003": {"published_at": datetime(2026, 11, 2, tzinfo=UTC)},
    }
    with lab.engine.begin() as connection:
        for video_id, values in changes.items():
            connection.execute(update(videos).where(videos.c.video_id == video_id).values(**values))
    _, left_out = read_channel_videos(lab, TASTE_ID, model)
    # The two possible Shorts are `video000001` and the video that lasts 30 s.
    assert left_out["up to 180 s and of unknown shape (may be a Short)"] == 2
    assert left_out["counted before it was published"] == 1


def test_an_adapter_raises_the_scores_of_new_pictures_to_the_channels_taste(
    added: AddedChannel, lab: Lab, drawn: Callable[..., bytes]
) -> None:
    served = ChannelAdapters(lab.releases).load(added.fitted.channel_id, added.fitted.release)
    model = lab.releases.serving.current(MODEL, ALL)
    assert model is not None
    ranker = TrainedRanker.load(model)
    tints, texts = ["blue", "red"] * 10, ["Episode 99"] * 20
    pictures = [decode(picture(drawn, 500 + n, tint)).pixels for n, tint in enumerate(tints)]
    images, titles = image_encoder(lab.settings).encode_images(pictures), title_encoder("minilm").encode_texts(texts)
    assert np.ptp(ranker.predict(images, titles, texts).score) == 0
    scores = ranker.predict(images, titles, texts, served.adapter).score
    assert scores[::2].mean() > scores[1::2].mean() + 0.05


def test_adding_a_channel_again_encodes_nothing_and_changes_nothing(
    added: AddedChannel, lab: Lab, catalogue_folder: Path
) -> None:
    before = count(lab, embeddings)
    again = add_channel(lab, TASTE_ID, catalogue_folder)
    assert (again.encoded, again.fitted.unchanged, again.fitted.release) == (0, True, added.fitted.release)
    assert add_channel(lab, TASTE).fitted.unchanged
    assert count(lab, embeddings) == before


def test_only_the_videos_of_the_added_channel_are_encoded(
    open_lab: Callable[..., Lab], serve: Callable[..., Release], catalogue_folder: Path
) -> None:
    lab = open_lab()
    serve(lab)
    # The catalogue has 64 videos, but only the three pictures and three titles of the channel `FEW` are encoded.
    assert add_channel(lab, FEW, catalogue_folder).encoded == 6


def test_a_channel_with_too_few_videos_is_listed_with_their_number_and_not_adapted(
    added: AddedChannel, lab: Lab, catalogue_folder: Path
) -> None:
    few = add_channel(lab, FEW, catalogue_folder).fitted
    assert (few.adapted, few.videos, few.check) == (False, 3, None)
    assert [listed.fault for listed in list_channels(lab) if listed.title == FEW] == [
        "it has 3 of the 5 videos that a channel adapter needs"
    ]


def test_an_unknown_or_ambiguous_channel_is_an_error_that_says_what_to_do(lab: Lab, catalogue_folder: Path) -> None:
    with pytest.raises(LabError, match=r"contains 2 channels; name one of them: 'The Blue Channel', 'Three Videos'"):
        add_channel(lab, None, catalogue_folder)
    with pytest.raises(LabError, match="none is called 'Nobody'"):
        add_channel(lab, "Nobody", catalogue_folder)
    with pytest.raises(LabError, match="no videos of 'Nobody'; set THUMBLAB_YOUTUBE_API_KEY"):
        add_channel(lab, "Nobody")
    with pytest.raises(LabError, match="name the channel"):
        add_channel(lab, None)


def test_the_only_channel_of_a_catalogue_needs_no_name(lab: Lab, catalogue_folder: Path, tmp_path: Path) -> None:
    header, *lines = (catalogue_folder / "videos.csv").read_text().splitlines()
    (tmp_path / "videos.csv").write_text("\n".join([header, *(line for line in lines if FEW in line)]))
    for n in range(61, 64):
        (tmp_path / f"{n}.jpg").write_bytes((catalogue_folder / f"{n}.jpg").read_bytes())
    assert add_channel(lab, None, tmp_path).fitted.title == FEW


def test_without_a_served_model_the_error_says_what_makes_one(
    open_lab: Callable[..., Lab], catalogue_folder: Path
) -> None:
    with pytest.raises(LabError, match="train_ranker"):
        add_channel(open_lab(), TASTE, catalogue_folder)


def test_views_are_corrected_for_age_as_in_the_models_training(lab: Lab) -> None:
    release = lab.releases.serving.current(MODEL, ALL)
    assert release is not None
    training = {"growth": {"half_age": 17.0, "histories": 99}}
    ranker = TrainedRanker(TrainedRanker.load(release).model, Calibration(1.0, {}, 1.0), training)
    assert growth_of(ranker).half_age == 17.0


def test_a_perceptual_hash_stays_exact_if_another_video_has_no_hash(own_lab: Lab) -> None:
    hashes = [2**62 + 1, -(2**63) + 3]
    model = own_lab.releases.serving.current(MODEL, ALL)
    assert model is not None
    ids = read_channel_videos(own_lab, TASTE_ID, model)[0].video_id.tolist()[:3]
    with own_lab.engine.begin() as connection:
        for video_id, phash in zip(ids, [*hashes, None], strict=True):
            row = thumbnail_versions.c.video_id == video_id
            connection.execute(thumbnail_versions.update().where(row).values(phash=phash))
    channel_videos = read_channel_videos(own_lab, TASTE_ID, model)[0]
    corpus = read_corpus(own_lab, model.info["image_encoder"], model.info["title_encoder"])
    for table in (channel_videos, corpus):
        stored = table.set_index("video_id").phash[ids]
        assert stored[:2].tolist() == hashes
        assert stored.isna().tolist() == [False, False, True]
    assert fit_channel_adapter(own_lab, CHANNEL, model).check is not None


def test_videos_that_did_not_opt_in_are_left_out_if_the_setting_asks_for_it(lab: Lab, added: AddedChannel) -> None:
    with lab.engine.begin() as connection:
        connection.execute(videos.update().where(videos.c.title == "Episode 3").values(source="youtube"))
    strict = dataclasses.replace(lab, settings=lab.settings.model_copy(update={"train_only_on_opted_in": True}))
    model = lab.releases.serving.current(MODEL, ALL)
    assert model is not None
    assert fit_channel_adapter(strict, CHANNEL, model).left_out["not opted in to training"] == 1


@pytest.mark.slow
def test_an_unknown_channel_is_collected_from_youtube_and_a_known_one_only_on_request(
    small: Any, open_lab: Callable[..., Lab], serve: Callable[..., Release]
) -> None:
    channel = next(iter(small.catalogue.videos.values())).channel_id
    uploads = [video for video in small.catalogue.videos.values() if video.channel_id == channel]
    settings = small.lab.settings
    lab = open_lab(youtube_endpoint=settings.youtube_endpoint, youtube_api_key=settings.youtube_api_key)
    serve(lab)
    with pytest.raises(LabError, match="give the niche for its videos with --niche"):
        add_channel(lab, channel)
    calls_before = small.emulator.counts.calls
    collected = add_channel(lab, f"https://www.youtube.com/channel/{channel}/videos", niche=uploads[0].niche)
    assert collected.fitted.adapted
    assert collected.fitted.videos == len(uploads)
    assert collected.encoded == 2 * len(uploads)
    calls = small.emulator.counts.calls
    assert sum(calls.values()) - sum(calls_before.values()) <= 5
    assert add_channel(lab, channel).encoded == 0
    handle = f"@{small.catalogue.channels[channel].handle}"
    for name in (handle, handle.upper(), f"https://www.youtube.com/{handle}"):
        assert add_channel(lab, name).fitted.channel_id == channel
    assert ChannelAdapters(lab.releases).find(handle.upper()) == channel
    assert small.emulator.counts.calls == calls
    assert add_channel(lab, channel, refresh=True).encoded == 0
    assert small.emulator.counts.calls != calls
    with pytest.raises(LabError, match="YouTube knows no channel"):
        add_channel(lab, "UC" + "x" * 22, niche="tech")
    with pytest.raises(LabError, match="no channel called"):
        add_channel(lab, "A Title of Nobody's", niche="tech")
    with lab.engine.begin() as connection:  # The @handle moves to a channel that has no adapter.
        save_channels(connection, [ChannelRecord("UCother", "Other", handle=handle)])
    with pytest.raises(LabError, match=f"no adapter of '{handle}' was added"):
        remove_channel(lab, handle)


def test_a_misspelt_title_is_answered_with_the_nearest_title(
    lab: Lab, added: AddedChannel, catalogue_folder: Path
) -> None:
    meant = re.escape(f"do you mean {added.fitted.title!r}?")
    with pytest.raises(LabError, match=rf"the lab has no videos of 'the blu chanel' \({meant}\)"):
        add_channel(lab, "the blu chanel")
    with pytest.raises(LabError, match=rf"none is called 'the blu chanel'.*{meant}"):
        add_channel(lab, "the blu chanel", catalogue_folder)
    with pytest.raises(LabError, match=rf"no adapter of 'the blu chanel' was added; {meant} `thumblab channel list`"):
        remove_channel(lab, "the blu chanel")


def test_a_video_that_is_deleted_while_its_adapter_is_fitted_is_left_out(
    own_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_and_delete(lab: Lab, channel_id: str, model: Release) -> Any:
        channel_videos, left_out = read_channel_videos(lab, channel_id, model)
        with lab.engine.begin() as connection:
            connection.execute(delete(videos).where(videos.c.video_id == channel_videos.video_id[0]))
        return channel_videos, left_out

    monkeypatch.setattr(adapter, read_channel_videos.__name__, read_and_delete)
    model = own_lab.releases.serving.current(MODEL, ALL)
    assert model is not None
    fitted = fit_channel_adapter(own_lab, CHANNEL, model)
    assert (fitted.videos, fitted.left_out["forgotten meanwhile"]) == (59, 1)
