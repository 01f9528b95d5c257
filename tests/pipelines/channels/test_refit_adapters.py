"""Tests of keeping channel adapters up to date.

Adapters are fitted again after a new model is served or videos are deleted. An adapter is deleted with its channel. If
the file of an adapter is damaged, adding the channel again repairs it.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from channel_catalogue import FEW, FEW_ID, TASTE, TASTE_ID
from sqlalchemy import delete

from thumblab_core.database.channels import Channel
from thumblab_core.database.tables import channels, videos
from thumblab_core.errors import LabError
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapters
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.channels import adapter
from thumblab_pipelines.channels.adapter import fit_channel_adapter, refit_channel_adapters
from thumblab_pipelines.channels.add import add_channel, list_channels, remove_channel
from thumblab_pipelines.channels.evaluate import AdapterEvaluation
from thumblab_pipelines.dataset.video_fingerprints import FINGERPRINTS_FILE, fingerprints
from thumblab_pipelines.lab import Lab

CHANNEL = Channel(TASTE_ID, TASTE)


def served_model(lab: Lab) -> Release:
    model = lab.releases.serving.current(MODEL, ALL)
    assert model is not None
    return model


def video_ids(lab: Lab) -> list[str]:
    """Return the ids of the videos in the served adapter of the channel `TASTE`."""
    release = lab.releases.serving.current(ADAPTER, TASTE_ID)
    assert release is not None
    ids: list[str] = json.loads((release.path / "videos.json").read_text())
    return ids


def faults(lab: Lab) -> dict[str, str | None]:
    return {listed.channel_id: listed.fault for listed in list_channels(lab)}


def test_after_a_new_model_all_adapters_are_fitted_again_and_one_failure_stops_no_other(
    own_lab: Lab, serve: Callable[..., Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {listed.channel_id: listed.release for listed in list_channels(own_lab)}
    model = serve(own_lab, seed=1)
    assert set(faults(own_lab).values()) == {"it was made for another model than the served model"}

    def fail_for_few(lab: Lab, channel: Channel, *rest: Any) -> Any:
        if channel.title == FEW:
            raise ValueError("the fit failed")
        return fit_channel_adapter(lab, channel, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(adapter, "fit_channel_adapter", fail_for_few)
        result = refit_channel_adapters(own_lab, model)
    assert result.fitted == [TASTE_ID]
    assert result.failed == {FEW_ID: "ValueError: the fit failed"}
    after = {listed.channel_id: listed for listed in list_channels(own_lab)}
    assert after[TASTE_ID].fault is None
    assert after[FEW_ID].release == before[FEW_ID]
    assert refit_channel_adapters(own_lab).fitted == [FEW_ID]
    assert refit_channel_adapters(own_lab).unchanged == sorted([TASTE_ID, FEW_ID])


def test_no_adapter_is_fitted_for_a_model_that_is_no_longer_served(own_lab: Lab, serve: Callable[..., Release]) -> None:
    old = served_model(own_lab)
    new = serve(own_lab, seed=1)
    refit_channel_adapters(own_lab, new)
    served = own_lab.releases.serving.current_id(ADAPTER, TASTE_ID)
    with pytest.raises(LabError, match="started to serve another model before the adapter") as raised:
        fit_channel_adapter(own_lab, CHANNEL, old)
    assert raised.value.transient
    assert own_lab.releases.serving.current_id(ADAPTER, TASTE_ID) == served


def test_the_evaluation_leaves_out_videos_that_the_model_was_trained_on(own_lab: Lab) -> None:
    ids = video_ids(own_lab)
    before = served_model(own_lab)

    def evaluation(trained_on: list[str]) -> AdapterEvaluation | None:
        release = own_lab.releases.publish(
            MODEL,
            ALL,
            lambda folder: np.save(folder / FINGERPRINTS_FILE, fingerprints(trained_on)),
            {**before.info, "seen": len(trained_on)},
            sharing=before,
        )
        own_lab.releases.serving.promote(release)
        return fit_channel_adapter(own_lab, CHANNEL, release).check

    on_all, on_some = evaluation(["none of them"]), evaluation(ids[-4:])
    assert on_all is not None
    assert on_some is not None
    assert on_some.pairs < on_all.pairs
    assert evaluation(ids[48:]) is None


def test_an_adapter_loses_its_deleted_videos_and_a_deleted_channel_loses_its_adapter(own_lab: Lab) -> None:
    adapters = ChannelAdapters(own_lab.releases)
    deleted = video_ids(own_lab)[:50]
    with own_lab.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.video_id.in_(deleted)))
    assert TASTE_ID in refit_channel_adapters(own_lab).fitted
    assert len(video_ids(own_lab)) == 10
    assert not set(video_ids(own_lab)) & set(deleted)
    assert len(own_lab.releases.all(ADAPTER, TASTE_ID)) == 1  # The release with the deleted videos is gone.
    with own_lab.engine.begin() as connection:
        connection.execute(delete(videos).where(videos.c.channel_id == TASTE_ID))
    refit_channel_adapters(own_lab)
    assert adapters.load(TASTE_ID, adapters.current_id(TASTE_ID) or "").adapter is None
    with own_lab.engine.begin() as connection:
        connection.execute(delete(channels).where(channels.c.channel_id == TASTE_ID))
    assert "does not know" in refit_channel_adapters(own_lab).failed[TASTE_ID]
    assert TASTE_ID not in adapters.channels()


def test_removing_a_channel_withdraws_and_deletes_its_adapter(own_lab: Lab) -> None:
    assert remove_channel(own_lab, f"https://www.youtube.com/channel/{TASTE_ID}/videos") == TASTE_ID
    assert own_lab.releases.serving.current_id(ADAPTER, TASTE_ID) is None
    assert own_lab.releases.all(ADAPTER, TASTE_ID) == []
    assert [listed.title for listed in list_channels(own_lab)] == [FEW]
    with pytest.raises(LabError, match="no adapter of 'The Blue Channel' was added"):
        remove_channel(own_lab, TASTE)


@pytest.mark.slow
def test_a_damaged_adapter_is_listed_with_its_fault_and_adding_the_channel_again_repairs_it(own_lab: Lab) -> None:
    release = own_lab.releases.serving.current(ADAPTER, TASTE_ID)
    assert release is not None
    (release.path / "adapters.safetensors").write_bytes(b"x")
    assert "does not match its checksum" in str(faults(own_lab)[TASTE_ID])
    (release.path.parent / "CURRENT").write_bytes(b"\xff\xfe")
    assert "pointer" in str(faults(own_lab)[TASTE_ID])
    assert refit_channel_adapters(own_lab).unchanged == [FEW_ID]
    assert add_channel(own_lab, TASTE).fitted.release != release.release_id
    assert faults(own_lab)[TASTE_ID] is None
