"""Test a backfill of all niches as a person runs it in Dagster's UI: launch it, cancel it, execute it again."""

import os
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Browser
from real_processes import VIDEOS, RunningLab, new_folder, niche_of, running, url_from_outside, wait_until
from sqlalchemy import create_engine, text

from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.releases.release import INDEX
from thumblab_core.releases.release_store import ReleaseStore

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(5400)]

SHOTS = os.environ.get("BACKFILL_SCREENSHOTS")
"""A folder for screenshots of the pages. If the variable BACKFILL_SCREENSHOTS is not set, no screenshots are made."""

ENDED = {"SUCCESS", "FAILURE", "CANCELED"}

ASSETS = {
    "raw_videos",
    "channel_baselines",
    "thumbnails",
    "embeddings",
    "visual_features",
    "faiss_index",
    "served_index",
}


class DagsterPage:
    """Dagster's UI in a browser."""

    def __init__(self, browser: Browser, lab: RunningLab) -> None:
        self.browser, self.lab = browser, lab
        browser.size(1500, 950)

    def open(self, path: str) -> None:
        self.browser.call("Page.navigate", url=self.lab.up.url("dagster") + path)
        self.browser.wait("document.readyState === 'complete'", 120)

    def click(self, label: str, seconds: float = 120) -> None:
        """Click on the last button or link whose text matches `label`, as soon as it can be clicked."""
        element = f"""[...document.querySelectorAll('button, a')].filter(
            (e) => !e.disabled && /^{label}$/.test(e.innerText.trim())).at(-1)"""
        self.browser.wait(f"{element} !== undefined", seconds)
        self._click(element)

    def open_menu(self) -> None:
        """Open the menu of the backfill, at the top right of its page."""
        element = "document.querySelector('[aria-label=expand_more]')?.closest('button')"
        self.browser.wait(f"!!{element}", 120)
        self._click(element)

    def _click(self, element: str) -> None:
        """Click with the mouse in the middle of an element. Dagster's menus do not open if a script calls `click()`."""
        x, y = self.browser.evaluate(f"""(() => {{ const r = {element}.getBoundingClientRect();
            return [r.x + r.width / 2, r.y + r.height / 2]; }})()""")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def status(self) -> str | None:
        """Return the status that the page of a backfill shows."""
        shown: str | None = self.browser.evaluate(r"document.body.innerText.match(/^Status\n+(.+)$/m)?.[1] ?? null")
        return shown

    def shot(self, name: str) -> None:
        if SHOTS:
            self.browser.screenshot(Path(SHOTS) / f"{name}.png", 1500, 950)


@pytest.fixture(scope="module")
def own_lab() -> Iterator[RunningLab]:
    with new_folder() as folder, running(folder, "--demo") as up:
        yield RunningLab(up, folder / "demo")


@pytest.fixture
def page(own_lab: RunningLab, tmp_path: Path) -> Iterator[DagsterPage]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    browser = Browser(tmp_path)
    try:
        yield DagsterPage(browser, own_lab)
    finally:
        browser.close()


def runs_of(lab: RunningLab, backfill_id: str) -> list[dict[str, Any]]:
    query = """query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
        status error { message } runs { runId status startTime endTime tags { key value }
        assetMaterializations { assetKey { path } } } } } }"""
    backfill = lab.graphql(query, id=backfill_id)["partitionBackfillOrError"]
    assert backfill["error"] is None, backfill["error"]
    return list(backfill["runs"])


def wait_for_status(page: DagsterPage, backfill_id: str, status: str, seconds: float) -> None:
    """Wait until the page of a backfill shows `status`. Fail at once if the backfill has failed."""

    def shown() -> bool:
        runs_of(page.lab, backfill_id)
        return page.status() == status

    wait_until(shown, seconds, f"the page of the backfill says {status}", every=2)


def test_a_backfill_that_was_cancelled_in_the_ui_ends_green_when_it_is_executed_again(page: DagsterPage) -> None:
    first = launch(page)
    wait_until(lambda: "SUCCESS" in {run["status"] for run in runs_of(page.lab, first)}, 1200, "a niche is done")
    page.shot("midway")
    page.open_menu()
    page.click("Cancel backfill")
    page.click("Cancel backfill")
    # If a run is starting, Dagster waits for the start before it cancels the run. Starting a run takes minutes on a
    # busy machine.
    wait_for_status(page, first, "Canceled", 600)
    page.shot("cancelled")
    cancelled = runs_of(page.lab, first)
    assert {run["status"] for run in cancelled} == {"SUCCESS", "CANCELED"}

    page.open(f"/runs/b/{first}")
    page.open_menu()
    page.click("Re-execute from failure")
    second = next_backfill(page, first)
    page.open(f"/runs/b/{second}")
    wait_for_status(page, second, "Succeeded", 2400)
    page.shot("green")
    again = runs_of(page.lab, second)
    assert {run["status"] for run in again} == {"SUCCESS"}
    assert_each_asset_was_made_once(cancelled + again)
    assert_never_two_at_once(cancelled + again)
    assert_nothing_is_double(page.lab)


def launch(page: DagsterPage) -> str:
    """Launch a backfill of all niches from the page of the assets, open the page of the backfill, and return its id."""
    page.open("/locations/thumblab/asset-groups/library")
    page.click(r"Materialize all \(7\)…")
    # Dagster asks for a confirmation first, because no asset was materialized before.
    page.click("Confirm")
    page.click("All")
    page.shot("launch")
    page.click("Launch backfill")
    backfill_id = next_backfill(page)
    page.open(f"/runs/b/{backfill_id}")
    return backfill_id


def next_backfill(page: DagsterPage, first: str | None = None) -> str:
    """Wait for a second backfill, and return its id."""
    query = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id } } } }"
    found: list[str] = []

    def started() -> bool:
        results = page.lab.graphql(query)["partitionBackfillsOrError"]["results"]
        found[:] = [result["id"] for result in results if result["id"] != first]
        return bool(found)

    wait_until(started, 120, "a backfill was started")
    (backfill_id,) = found
    return backfill_id


def assert_each_asset_was_made_once(runs: list[dict[str, Any]]) -> None:
    """Assert that the runs made each asset of each niche exactly once."""
    made = Counter(
        (niche_of(run), event["assetKey"]["path"][-1]) for run in runs for event in run["assetMaterializations"]
    )
    assert made == Counter((niche, asset) for niche in DEFAULT_NAMES for asset in ASSETS)


def assert_never_two_at_once(runs: list[dict[str, Any]]) -> None:
    """Assert that all runs have ended, and that no niche had two runs at the same time."""
    assert {run["status"] for run in runs} <= ENDED
    for niche in DEFAULT_NAMES:
        # Runs that were cancelled in the queue have no start time.
        started = [run for run in runs if niche_of(run) == niche and run["startTime"]]
        times = sorted((run["startTime"], run["endTime"]) for run in started)
        assert all(end <= start for (_, end), (start, _) in pairwise(times)), niche


def assert_nothing_is_double(lab: RunningLab) -> None:
    """Assert that the database has each video, with its picture and vectors, exactly once, and that the served indexes
    are undamaged.
    """
    engine = create_engine(url_from_outside(lab.data_dir, "thumblab").replace("://", "+psycopg://", 1))
    with engine.connect() as connection:
        tables = ("videos", "video_stats", "thumbnails", "visual_features", "embeddings", "channels")
        rows = {table: connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables}
    engine.dispose()
    assert rows == dict.fromkeys(tables, VIDEOS) | {"embeddings": 2 * VIDEOS, "channels": len(DEFAULT_NAMES)}
    store = ReleaseStore(lab.data_dir / "releases")
    for niche in DEFAULT_NAMES:
        (release,) = store.all(INDEX, niche)
        release.verify()
        assert store.serving.current(INDEX, niche) == release
        assert release.info["count"] == VIDEOS // len(DEFAULT_NAMES)
