"""Tests of how experiments are added to the lab.

The channel, the video and the pictures of an experiment are checked. An experiment that is added twice is stored once.
"""

import os
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from given_experiments import CHANNEL, START, VIDEO, given, kept, put_channel, remove
from local_server import Handler, local_server, url_of
from sqlalchemy import func, select

from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import experiment_variants, experiments
from thumblab_core.errors import LabError
from thumblab_core.images import digest
from thumblab_pipelines.experiments.add import ExperimentWriter
from thumblab_pipelines.lab import Lab


def counts(lab: Lab) -> tuple[int, int]:
    """Return how many experiments and how many variants the lab has stored."""
    with lab.engine.connect() as connection:
        tables = (experiments, experiment_variants)
        found = [connection.scalar(select(func.count()).select_from(table)) for table in tables]
    return int(found[0] or 0), int(found[1] or 0)


def test_an_experiment_is_stored_with_its_pictures(lab: Lab, pictures: list[Path]) -> None:
    variants = [
        {"picture": path, "title": "Both", "share": share, "impressions": 1_000 * at}
        for at, (path, share) in enumerate(zip(pictures, (30.0, 45.0, 25.0), strict=True), 1)
    ]
    ended = START + timedelta(days=13)
    added = ExperimentWriter(lab).add(given(variants, outcome="winner", ended_on=ended))
    (one,) = kept(lab)
    assert (added.state, added.experiment, one.experiment_id) == ("new", one.experiment, added.experiment_id)
    experiment = one.experiment
    assert (experiment.channel_id, experiment.video_id, experiment.started_on) == (CHANNEL, VIDEO, START)
    assert (experiment.ended_on, experiment.outcome, experiment.winner) == (ended, "winner", 2)
    assert [v.watch_time_share for v in experiment.variants] == [0.3, 0.45, 0.25]
    assert [(v.title, v.impressions) for v in experiment.variants] == [
        ("Both", 1_000),
        ("Both", 2_000),
        ("Both", 3_000),
    ]
    for path, variant in zip(pictures, experiment.variants, strict=True):
        assert variant.sha256 == digest(path.read_bytes())
        assert lab.images.get(variant.sha256) == path.read_bytes()


def test_titles_can_be_tested_without_pictures(lab: Lab) -> None:
    ExperimentWriter(lab).add(given(["One", "Two"]))
    (one,) = kept(lab)
    assert [(v.sha256, v.title) for v in one.experiment.variants] == [(None, "One"), (None, "Two")]


def test_the_same_experiment_again_changes_nothing(lab: Lab, pictures: list[Path]) -> None:
    first = ExperimentWriter(lab).add(given(pictures[:2]))
    before = kept(lab)
    again = ExperimentWriter(lab).add(given(pictures[:2]))
    assert (first.state, again.state, again.experiment_id) == ("new", "unchanged", first.experiment_id)
    assert kept(lab) == before


def test_an_experiment_of_the_same_channel_video_and_start_is_updated_and_not_doubled(
    lab: Lab, pictures: list[Path]
) -> None:
    first = ExperimentWriter(lab).add(given(pictures))
    final = given(pictures[:2], outcome="winner", winner=2, ended_on=date(2026, 11, 9))
    again = ExperimentWriter(lab).add(final)
    assert (again.state, again.experiment_id, counts(lab)) == ("changed", first.experiment_id, (1, 2))
    assert kept(lab)[0].experiment == again.experiment
    other = ExperimentWriter(lab).add(given(pictures, started_on=START + timedelta(days=20)))
    assert (other.state, counts(lab)) == ("new", (2, 5))


def test_experiments_are_listed_by_channel_the_newest_first(lab: Lab) -> None:
    put_channel(lab, "UC" + "b" * 22, "Beta")
    writer = ExperimentWriter(lab)
    for day in (1, 3, 2):
        writer.add(given(["One", "Two"], started_on=date(2026, 11, day)))
    writer.add(given(["One", "Two"], channel="Beta"))
    assert [one.experiment.started_on.day for one in kept(lab, CHANNEL)] == [3, 2, 1]
    (beta,) = kept(lab, "UC" + "b" * 22)
    assert beta.channel_title == "Beta"
    assert len(kept(lab)) == 4


def test_a_removed_experiment_is_gone_with_its_variants(lab: Lab) -> None:
    added = ExperimentWriter(lab).add(given(["One", "Two"]))
    assert remove(lab, added.experiment_id)
    assert counts(lab) == (0, 0)
    assert not remove(lab, added.experiment_id)


def refused(lab: Lab, variants: Any, **values: Any) -> str:
    with pytest.raises(LabError) as error:
        ExperimentWriter(lab).add(given(variants, **values))
    assert counts(lab) == (0, 0)
    return str(error.value)


def test_a_picture_that_cannot_be_read_is_named_with_the_reason(lab: Lab, pictures: list[Path], tmp_path: Path) -> None:
    a = pictures[0]
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "half.jpg").write_bytes(a.read_bytes()[:200])
    os.mkfifo(tmp_path / "pipe.jpg")
    assert refused(lab, [a, tmp_path / "text.jpg"]).startswith(
        "picture 2 (text.jpg): not a JPEG, PNG, WebP, AVIF, HEIC, GIF or BMP"
    )
    assert refused(lab, [a, tmp_path / "half.jpg"]).startswith("picture 2 (half.jpg)")
    assert refused(lab, [a, tmp_path / "pipe.jpg"]).startswith("picture 2 (pipe.jpg): it cannot be read")
    assert "picture 1 (absent.jpg) cannot be read" in refused(lab, [tmp_path / "absent.jpg", a])


def test_the_same_picture_twice_is_not_an_experiment(lab: Lab, pictures: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(pictures[0].read_bytes())
    assert "variants 1 and 2 have the same picture and title" in refused(lab, [pictures[0], copy])


def test_a_channel_is_found_by_id_or_title_and_a_near_title_is_suggested(lab: Lab) -> None:
    put_channel(lab, "UC" + "b" * 22, "Beta News")
    writer = ExperimentWriter(lab)
    link = f"https://www.youtube.com/channel/UC{'b' * 22}/videos"
    assert (
        writer.channel_id("Beta News")
        == writer.channel_id(link)
        == writer.channel_id("UC" + "b" * 22)
        == "UC" + "b" * 22
    )
    assert "is not a link to a channel" in refused(lab, ["One", "Two"], channel="https://youtube.com/c/beta")
    message = refused(lab, ["One", "Two"], channel="Beta Mews")
    assert message.startswith("the lab knows no channel called 'Beta Mews' (do you mean 'Beta News'?); give its id")
    assert "set THUMBLAB_YOUTUBE_API_KEY" in refused(lab, ["One", "Two"], channel="@beta")


@pytest.fixture
def emulator(catalogue: SyntheticCatalogue) -> Iterator[Emulator]:
    with Emulator(catalogue, key="key") as emulator:
        yield emulator


def test_youtube_is_asked_once_for_a_handle(
    lab: Lab, open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue, emulator: Emulator
) -> None:
    online = open_lab(beside=lab, youtube_endpoint=emulator.endpoint, youtube_api_key="key")
    channel = next(iter(catalogue.channels.values()))
    writer = ExperimentWriter(online)
    for _ in range(3):
        assert writer.channel_id(f"@{channel.handle}") == channel.channel_id
        with pytest.raises(LabError, match="YouTube knows no channel '@nobody'"):
            writer.channel_id("@nobody")
    assert sum(emulator.counts.calls.values()) == 2
    assert ExperimentWriter(online).channel_id(f"youtube.com/@{channel.handle}") == channel.channel_id


def test_youtube_is_asked_once_while_it_does_not_answer(lab: Lab, open_lab: Callable[..., Lab]) -> None:
    asked: list[str] = []

    class Broken(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(500)

    with local_server(Broken) as server:
        endpoint = f"{url_of(server)}/"
        offline = open_lab(beside=lab, youtube_endpoint=endpoint, youtube_api_key="key", youtube_first_wait_s=0)
        writer = ExperimentWriter(offline)
        with pytest.raises(LabError) as first:
            writer.channel_id("@first")
        calls = len(asked)
        with pytest.raises(LabError) as second:
            writer.channel_id("@second")
    assert calls > 0
    assert len(asked) == calls
    assert str(second.value) == (
        f"YouTube was not asked for the channel '@second', because an earlier call for '@first' failed ({first.value})"
    )
    assert writer.channel_id(CHANNEL) == CHANNEL  # Only a @handle is looked up on YouTube.


def test_a_video_must_be_of_youtube_or_of_the_lab_and_of_the_channel(lab: Lab) -> None:
    put_channel(lab, "UC" + "b" * 22, "Beta", "a video of a catalogue", "video_bbbbb")
    assert "give the 11 characters after watch?v=" in refused(lab, ["One", "Two"], video_id="not a video")
    assert "belongs to the channel UCbbb" in refused(lab, ["One", "Two"], video_id="video_bbbbb")
    added = ExperimentWriter(lab).add(given(["One", "Two"], channel="Beta", video_id="a video of a catalogue"))
    assert added.state == "new"
