"""Tests of the checks of the whole lab.

Normal data pass the checks. A planted fault fails a check. If there are too few data, a check returns no verdict.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from sqlalchemy import insert

from thumblab_core.database.tables import (
    channels,
    embeddings,
    model_evaluations,
    thumbnails,
    video_stats,
    videos,
    visual_features,
)
from thumblab_core.encoders.load import image_encoder
from thumblab_core.encoders.protocol import unit
from thumblab_core.index import Item, NicheIndex
from thumblab_core.niches import Niche
from thumblab_core.niches.store import add_niche, retire_niche
from thumblab_core.releases.release import ALL, INDEX, MODEL, Release
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.features.sub_scores import meter_version
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.lab_checks import served, weeks
from thumblab_pipelines.lab_checks.drift import separability

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def lab(emptied_lab: Callable[..., Lab]) -> Lab:
    return emptied_lab(videos, channels, model_evaluations)


def collect(lab: Lab, number: int, at: datetime, niche: str = "tech", of_channels: int = 8) -> list[str]:
    """Store `number` videos with thumbnails, and return the ids of the videos.

    All videos were collected and published at `at`. They are divided equally among `of_channels` new channels.
    """
    names = [f"{niche}-{at:%m%d}-{place}" for place in range(number)]
    facts = {"niche": niche, "title": "t", "tags": [], "source": "youtube", "published_at": at, "refreshed_at": at}
    with lab.engine.begin() as connection:
        owners = [{"channel_id": f"{niche}-{at:%m%d}-c{place}", "title": "C"} for place in range(of_channels)]
        connection.execute(insert(channels), owners)
        rows = [
            {**facts, "video_id": name, "channel_id": owners[place % of_channels]["channel_id"], "collected_at": at}
            for place, name in enumerate(names)
        ]
        connection.execute(insert(videos), rows)
        pictures = [
            {"video_id": name, "sha256": name.ljust(64, "0"), "fetched_at": at, "checked_at": at} for name in names
        ]
        connection.execute(insert(thumbnails), pictures)
    return names


def observe(lab: Lab, names: list[str], at: datetime) -> None:
    with lab.engine.begin() as connection:
        rows = [{"video_id": name, "observed_at": at, "view_count": 1, "era": "playback_start"} for name in names]
        connection.execute(insert(video_stats), rows)


def test_a_day_with_few_observations_is_found_and_a_young_niche_is_not_judged(lab: Lab) -> None:
    names = collect(lab, 10, NOW - 3 * WEEK)
    young = collect(lab, 10, NOW - 3 * WEEK, "news")
    for days_ago in range(1, 15):
        observe(lab, names, NOW - timedelta(days=days_ago, hours=1))
    observe(lab, young, NOW - timedelta(days=2))
    nothing = weeks.check_observations(lab, NOW)
    assert (nothing.passed, nothing.advisory) == (False, True)
    assert nothing.explanation == "tech: 0 observations in the last 24 hours, 10 on a median day"
    assert nothing.figures == {"tech_last_day": 0, "tech_median_day": 10}
    observe(lab, names[:5], NOW - timedelta(hours=1))
    assert weeks.check_observations(lab, NOW).passed


def test_a_retired_niche_is_not_reported_although_its_videos_are_no_longer_observed(lab: Lab, tmp_path: Path) -> None:
    add_niche(lab.engine, tmp_path, Niche("stonework", searches=("stone",)))
    names = collect(lab, 40, NOW - timedelta(days=2), "stonework")
    for days_ago in range(1, 15):
        observe(lab, names, NOW - timedelta(days=days_ago, hours=1))
    with lab.engine.begin() as connection:
        connection.execute(thumbnails.update().values(sha256=None, problem="404"))
    assert not weeks.check_observations(lab, NOW).passed
    assert not weeks.check_downloads(lab, NOW).passed
    retire_niche(lab.engine, tmp_path, "stonework")
    assert weeks.check_observations(lab, NOW).passed
    assert weeks.check_downloads(lab, NOW).passed


def test_failed_downloads_of_the_last_week_are_found(lab: Lab) -> None:
    names = collect(lab, 40, NOW - timedelta(days=2))
    assert weeks.check_downloads(lab, NOW).figures == {"tech_failed_share": 0}
    with lab.engine.begin() as connection:
        failed = thumbnails.update().where(thumbnails.c.video_id.in_(names[:10]))
        connection.execute(failed.values(sha256=None, problem="404"))
    found = weeks.check_downloads(lab, NOW)
    assert (found.passed, found.explanation) == (False, "tech: 10 of 40 downloads failed")
    old = weeks.check_downloads(lab, NOW + 2 * WEEK)
    assert (old.passed, old.explanation) == (True, "nothing to compare: no niches with 20 downloads or more")


def test_vectors_that_all_changed_in_the_same_way_are_found(lab: Lab) -> None:
    encoder = image_encoder(lab.settings).fingerprint
    random = np.random.default_rng(0)
    old, new = collect(lab, 80, NOW - 2 * WEEK), collect(lab, 60, NOW - timedelta(days=2))
    vectors = unit(random.standard_normal((140, 16)))

    def store(all_vectors: np.ndarray) -> None:
        rows = [
            {"video_id": name, "encoder": encoder, "source_digest": name.ljust(64, "0"), "vector": vector}
            for name, vector in zip([*old, *new], all_vectors, strict=True)
        ]
        with lab.engine.begin() as connection:
            connection.execute(embeddings.delete())
            connection.execute(insert(embeddings), rows)

    store(vectors)
    alike = weeks.check_vectors(lab, NOW)
    assert alike.passed
    assert alike.figures["tech_auc"] == alike.figures["worst"] < 0.7
    moved = vectors.copy()
    moved[80:] += 0.5 * np.eye(16)[0]
    store(unit(moved))
    drifted = weeks.check_vectors(lab, NOW)
    assert not drifted.passed
    assert drifted.explanation.startswith("tech: auc is ")
    assert drifted.figures["tech_auc"] > 0.8


def test_an_unusual_channel_is_not_reported_as_drift() -> None:
    random = np.random.default_rng(1)
    old, new = random.standard_normal((100, 8)), random.standard_normal((100, 8))
    new[:20] += 5  # The thumbnails of one of five new channels differ from all others.
    names = [[f"{side}{row // 20}" for row in range(100)] for side in "on"]
    assert separability(old, new, *names) < 0.7
    assert separability(old, new + 2, *names) > 0.9


def test_a_sub_score_that_moved_is_found_and_named(lab: Lab) -> None:
    version = meter_version(lab)
    old, new = collect(lab, 80, NOW - 2 * WEEK), collect(lab, 60, NOW - timedelta(days=2))
    random = np.random.default_rng(0)

    def store(shift: float) -> None:
        rows = []
        for name in [*old, *new]:
            scores = dict(zip(NAMES, random.uniform(0, 0.5, len(NAMES)).tolist(), strict=True))
            scores["contrast"] += shift if name in new else 0
            rows.append({"video_id": name, "sha256": name.ljust(64, "0"), "version": version, **scores})
        with lab.engine.begin() as connection:
            connection.execute(visual_features.delete())
            connection.execute(insert(visual_features), rows)

    store(0)
    assert weeks.check_sub_scores(lab, NOW).passed
    store(0.4)
    moved = weeks.check_sub_scores(lab, NOW)
    assert not moved.passed
    assert moved.explanation.startswith("tech: contrast is ")
    assert moved.figures["worst"] == moved.figures["tech_contrast"] > 0.6


def served_index(lab: Lab) -> Release:
    """Serve an index of 50 videos of the niche tech, and return its release."""
    vectors = unit(np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32))
    items = [Item(f"v{row}", "t", "c", "", 1.0, 1.0, NOW.date()) for row in range(50)]
    index = NicheIndex.build(vectors, items, "e")
    release = lab.releases.publish(INDEX, "tech", index.save, index.describe() | {"inputs": "i"})
    lab.releases.serving.promote(release)
    return release


def test_a_damaged_file_of_a_served_index_is_an_error_and_no_warning(lab: Lab) -> None:
    release = served_index(lab)
    assert served.check_index_files(lab).passed
    file = max(release.path.iterdir(), key=lambda path: path.stat().st_size)
    content = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    damaged = served.check_index_files(lab)
    file.write_bytes(content)
    assert (damaged.passed, damaged.advisory, damaged.figures) == (False, False, {"damaged": 1})
    assert damaged.explanation.startswith("tech: ")


def test_the_recall_of_a_served_index_is_measured(lab: Lab) -> None:
    release = served_index(lab)
    found = served.check_recall(lab)
    assert (found.passed, found.figures) == (True, {"tech_recall": 1.0})
    (release.path / "manifest.json").unlink()
    broken = served.check_recall(lab)
    assert not broken.passed
    assert broken.explanation.startswith("tech: ")


@pytest.mark.parametrize(("auc", "passed"), [(0.62, True), (0.55, False)])
def test_a_served_model_that_is_worse_than_a_simple_ranking_is_found(lab: Lab, auc: float, passed: bool) -> None:
    release = lab.releases.publish(MODEL, ALL, lambda folder: (folder / "x").touch(), {"inputs": str(auc)})
    lab.releases.serving.promote(release)
    facts = {"split": "future", "slice": "all", "metric": "auc", "pairs": 100, "channels": 5, "evaluated_at": NOW}
    rows = [{"release_id": release.release_id, "scorer": name, "value": value, **facts}
            for name, value in (("model", auc), ("age", 0.52), ("title", 0.6))]  # fmt: skip
    with lab.engine.begin() as connection:
        connection.execute(insert(model_evaluations), rows)
    found = served.check_against_baselines(lab)
    assert found.passed is passed
    assert found.figures["future_best_simple_auc"] == 0.6
    assert found.figures["future_difference"] == pytest.approx(auc - 0.6)


def test_the_job_runs_every_check_without_making_an_asset_and_each_runs_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LabResource, "open", lambda _: lab)
    job = defs().resolve_job_def("check_lab")
    result = job.execute_in_process()
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert result.success
    assert result.get_asset_materialization_events() == []
    assert len(checks) == 8
    assert not any(check.blocking for check in checks.values())
    assert {name for name, check in checks.items() if check.severity == dg.AssetCheckSeverity.ERROR} == {
        "files_undamaged"
    }
    alone = job.execute_in_process(op_selection=["raw_videos_as_many_as_usual"])
    assert [check.check_name for check in alone.get_asset_check_evaluations()] == ["as_many_as_usual"]
