"""Tests of the Dagster assets that collect videos.

The tests cover how a run ends, what its metadata show, and that no event and no log contains the API key.
"""

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import select, update

from demo import faults
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import videos
from thumblab_core.errors import LabError
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.niches.store import retire_niche
from thumblab_core.settings import settings
from thumblab_pipelines.dagster_partitions import add_partitions
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.lab import Lab

SECRET = "AIzaSecretOfTheTests"


@dataclass
class Ran:
    """The result of a run.

    The object contains the metadata of the asset, the asset's checks by name, and every event and log as text.
    `failure` is the error of the step that failed, or an empty text.
    """

    success: bool
    metadata: dict[str, Any]
    checks: dict[str, dg.AssetCheckEvaluation]
    failure: str
    event_text: str


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return defs()


@pytest.fixture
def run(
    open_lab: Callable[..., Lab], definitions: dg.Definitions, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Ran]]:
    """A function that materializes one asset through its job, with the given emulator. The asset of a partitioned job is
    materialized for one niche.
    """
    lab = open_lab()
    assert lab.settings.database_url is not None
    with dg.DagsterInstance.ephemeral() as instance:
        add_partitions(instance, DEFAULT_NAMES)

        def materialize(job: str, asset: str, emulator: Emulator, niche: str = "tech") -> Ran:
            environment = {
                "THUMBLAB_DATA_DIR": str(lab.settings.data_dir),
                "THUMBLAB_DATABASE_URL": lab.settings.database_url.get_secret_value(),
                "THUMBLAB_IMAGE_ENCODER": "builtin",
                "THUMBLAB_YOUTUBE_ENDPOINT": emulator.endpoint,
                "THUMBLAB_YOUTUBE_API_KEY": SECRET,
                "THUMBLAB_YOUTUBE_FIRST_WAIT_S": "0.01",
                "THUMBLAB_CRAWL_CHANNELS": "1",
            }
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            settings.cache_clear()
            resolved = definitions.resolve_job_def(job)
            result = resolved.execute_in_process(
                instance=instance,
                partition_key=None if resolved.partitions_def is None else niche,
                asset_selection=[dg.AssetKey(asset)],
                raise_on_error=False,
            )
            events = instance.all_logs(result.run_id)
            made = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(asset)]
            failed = [e for e in result.all_events if e.is_step_failure]
            return Ran(
                result.success,
                {k: getattr(v, "value", None) for e in made for k, v in e.materialization.metadata.items()},
                {c.check_name: c for c in result.get_asset_check_evaluations()},
                str(failed[0].step_failure_data.user_failure_data) if failed else "",
                "\n".join(dg.serialize_value(event) for event in events),
            )

        yield materialize


@pytest.mark.parametrize("style", ["403", "429"])
@pytest.mark.parametrize(
    ("job", "asset", "units"), [("refresh_library", "raw_videos", 3), ("crawl_corpus", "crawled_videos", 2)]
)
def test_a_run_that_exhausts_the_quota_is_completed_by_the_next_run_after_the_reset(
    run: Callable[..., Ran], catalogue: SyntheticCatalogue, job: str, asset: str, units: int, style: Any
) -> None:
    with Emulator(catalogue, key=SECRET, daily_units=units, quota_style=style) as emulator:
        first = run(job, asset, emulator)
        assert first.success  # The run succeeds, because the videos that it collected are valid.
        assert "2026-11-21 08:00 UTC" in first.metadata["state"]
        finished = first.checks["finished"]
        assert (finished.passed, finished.blocking) == (False, False)
        assert finished.severity == dg.AssetCheckSeverity.WARN
        assert "2026-11-21 08:00 UTC" in str(finished.description)
        assert all(check.passed for name, check in first.checks.items() if name != "finished")
        assert first.metadata["quota_units_left_today"] == 0
        asked = sum(emulator.counts.calls.values())
        again = run(job, asset, emulator)
        assert "08:00 UTC" in again.metadata["state"]
        # The units are used up, but one search is possible, because searches have a quota of their own.
        assert sum(emulator.counts.calls.values()) - asked <= 1
        emulator.advance(timedelta(hours=20))
        emulator.quota.limits["units"] = None
        last = run(job, asset, emulator)
    assert last.metadata["state"] == "complete"
    assert last.checks["finished"].passed
    assert last.metadata["dagster/row_count"] >= 20


def test_a_run_reports_its_spent_quota_and_the_rest_of_today(
    run: Callable[..., Ran], catalogue: SyntheticCatalogue
) -> None:
    with Emulator(catalogue, key=SECRET) as emulator:
        metadata = run("refresh_library", "raw_videos", emulator).metadata
        spent = emulator.counts.spent
    assert {bucket: metadata[f"quota_{bucket}_spent"] for bucket in spent} == spent
    assert metadata["quota_units_left_today"] == 10_000 - spent["units"]
    assert metadata["quota_searches_left_today"] == 100 - spent["searches"]


class _HastyClock:
    """A replacement for the module `time`.

    The function `sleep` of this clock does not wait, but moves the clock forward by `seconds`.
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def time(self) -> float:
        return time.time() + self._ahead

    def sleep(self, seconds: float) -> None:
        self._ahead += seconds


@pytest.mark.parametrize(
    ("fault", "says", "retried"),
    [
        (faults.refusal(400, "keyInvalid"), "THUMBLAB_YOUTUBE_API_KEY", False),
        (faults.echo_key(), "[key]", False),
        (faults.refusal(503, "backendError"), "problem of its own", True),
        (faults.refusal(403, "rateLimitExceeded"), "slow down", True),
        (faults.hang_up(), "could not be reached", True),
        (faults.wrong_content_type(), "does not answer like YouTube's API", True),
    ],
    ids=["wrong key", "key comes back", "server", "rate", "no answer", "sign-in page"],
)
def test_a_failure_is_a_sentence_in_the_ui_and_no_event_or_log_holds_the_key(
    run: Callable[..., Ran],
    catalogue: SyntheticCatalogue,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    fault: Any,
    says: str,
    retried: bool,
) -> None:
    # Dagster waits at least ten seconds before it retries a step. With this clock, the test does not wait.
    monkeypatch.setattr("dagster._core.execution.plan.active.time", _HastyClock())
    with caplog.at_level(logging.DEBUG), Emulator(catalogue, key=SECRET) as emulator:
        emulator.inject(fault, endpoint="videos", times=None)
        ran = run("refresh_library", "raw_videos", emulator)
    assert not ran.success
    assert says in ran.failure
    assert ("STEP_UP_FOR_RETRY" in ran.event_text) is retried
    assert "STEP_FAILURE" in ran.event_text
    assert SECRET not in ran.event_text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(("job", "asset"), [("observe_views", "view_history"), ("apply_retention", "retention")])
def test_the_upkeep_assets_report_their_figures(
    run: Callable[..., Ran], catalogue: SyntheticCatalogue, job: str, asset: str
) -> None:
    with Emulator(catalogue, key=SECRET) as emulator:
        collected = run("refresh_library", "raw_videos", emulator).metadata["dagster/row_count"]
        emulator.advance(timedelta(days=8 if asset == "view_history" else 26))
        ran = run(job, asset, emulator)
    assert ran.success
    assert ran.metadata["state"] == "complete"
    assert 0.5 * collected < ran.metadata["dagster/row_count"] <= collected
    assert all(check.passed for check in ran.checks.values())


def retire_parts(**counts: int) -> list[list[str]]:
    """Move videos from the niche `tech` to other niches, and retire these other niches.

    `counts` has the number of videos to move to each niche. Return the ids of the moved videos, as one list for each
    niche.
    """
    lab = Lab.open()
    moved = []
    for niche, count in counts.items():
        chosen = select(videos.c.video_id).where(videos.c.niche == "tech").order_by(videos.c.video_id).limit(count)
        with lab.engine.begin() as connection:
            moved.append(list(connection.scalars(chosen)))
            connection.execute(update(videos).where(videos.c.video_id.in_(moved[-1])).values(niche=niche))
        retire_niche(lab.engine, lab.settings.data_dir, niche)
    return moved


def test_a_retired_niche_with_too_many_deletions_stops_no_other_and_names_commands_that_work(
    run: Callable[..., Ran], catalogue: SyntheticCatalogue
) -> None:
    with Emulator(catalogue, key=SECRET) as emulator:
        run("refresh_library", "raw_videos", emulator)
        gaming, _ = retire_parts(gaming=7, news=4)
        for video_id in gaming[:6]:
            emulator.remove(video_id)
        emulator.advance(timedelta(days=26))
        ran = run("apply_lab_retention", "lab_retention", emulator)
    assert not ran.success
    assert "`thumblab niche retire gaming --forget`" in ran.failure
    assert "`thumblab niche restore gaming`" in ran.failure
    assert "confirmed: true" not in ran.failure
    assert ran.metadata["retired_niche_gaming"] in ran.failure
    assert ran.metadata["retired_niche_news"] == "4 videos, 4 refreshed, 0 deleted"
    assert {name: check.passed for name, check in ran.checks.items()} == {"forgotten_everywhere": True}


def test_what_all_niches_share_is_cleaned_although_the_retention_of_a_niche_and_of_a_retired_niche_fails(
    run: Callable[..., Ran], catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise LabError("the disk is full")

    with Emulator(catalogue, key=SECRET) as emulator:
        run("refresh_library", "raw_videos", emulator)
        retire_parts(news=4)
        unused = unused_picture(Lab.open())
        for module in ("defs.upkeep.retention", "retention.retired"):
            monkeypatch.setattr(f"thumblab_pipelines.{module}.retain", fail)
        of_niche = run("apply_retention", "retention", emulator)
        assert (of_niche.success, unused.exists()) == (False, True)
        ran = run("apply_lab_retention", "lab_retention", emulator)
    assert not ran.success
    assert "the retention of the retired niche news is not complete: the disk is full" in ran.failure
    assert (ran.metadata["images_deleted"], unused.exists()) == (1, False)


def unused_picture(lab: Lab) -> Path:
    """Store an old picture that belongs to no row of the database, and return its path."""
    path = lab.images.path(lab.images.put(b"an old picture"))
    os.utime(path, (0, 0))
    return path


def test_on_a_day_each_niche_is_refreshed_once_and_what_all_niches_share_is_cleaned_once(
    run: Callable[..., Ran], catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Counter[str] = Counter()
    for name in ("clean_images", "clean_faces", "clean_pairs", "clean_unfinished", "clean_indices", "purge_predictions",
                 "clean_adapters", "delete_unused_channels", "refresh_due"):  # fmt: skip
        count_calls(monkeypatch, name, counts)
    with Emulator(catalogue, key=SECRET) as emulator:
        for niche in DEFAULT_NAMES:
            assert run("apply_retention", "retention", emulator, niche).success
        assert run("apply_lab_retention", "lab_retention", emulator).success
    per_niche = {"clean_indices", "refresh_due"}
    assert counts == {name: len(DEFAULT_NAMES) if name in per_niche else 1 for name in counts}
    assert len(counts) == 9


def count_calls(monkeypatch: pytest.MonkeyPatch, name: str, counts: Counter[str]) -> None:
    """Count the calls of the function `name` in all modules that import it."""
    for module in [module for key, module in sys.modules.items() if key.startswith("thumblab_pipelines.")]:
        function = vars(module).get(name)
        if function is not None:

            def counted(*given: Any, _function: Callable[..., Any] = function, **named: Any) -> Any:
                counts[name] += 1
                return _function(*given, **named)

            monkeypatch.setattr(module, name, counted)
