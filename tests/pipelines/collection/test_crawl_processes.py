"""Tests that a crawl can be killed at any moment and continued, and that several processes can share a crawl."""

import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import crawling
import pytest
from crawl_lab import outcomes
from lab_setup import SECRET, stored
from sqlalchemy import create_engine, func, select, text

from demo.catalogues.vast import vast_catalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import video_stats
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.quota import Ledger

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(crawling.IMPORTS)


class Crawling:
    """A process that crawls every niche as the Dagster asset does, and that a test can kill.

    The process is forked from a process that has already imported the modules of a crawl. Otherwise the imports in
    eleven processes would take longer than the crawls.
    """

    def __init__(self, lab: Lab, emulator: Emulator, channels: int, folder: Path) -> None:
        assert lab.settings.database_url is not None
        environment = {
            "THUMBLAB_DATA_DIR": str(lab.settings.data_dir),
            "THUMBLAB_DATABASE_URL": lab.settings.database_url.get_secret_value(),
            "THUMBLAB_YOUTUBE_ENDPOINT": emulator.endpoint,
            "THUMBLAB_YOUTUBE_API_KEY": SECRET,
            "THUMBLAB_CRAWL_CHANNELS": str(channels),
        }
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            self._stderr_path = Path(file.name)
        self._process = PROCESSES.Process(
            target=crawling.crawl_all, args=(environment, str(self._stderr_path), list(DEFAULT_NAMES))
        )
        self._process.start()

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def ended(self, seconds: float = 120) -> int:
        """Wait until the process ends, and return its exit status."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"the crawl is still running: {self.stderr}"
        return self._process.exitcode

    @property
    def stderr(self) -> str:
        return self._stderr_path.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "videos"), [(2, 4_000), pytest.param(10, 12_000, marks=pytest.mark.heavy)])
def test_a_crawl_killed_many_times_ends_with_the_same_videos_for_few_units_more(
    lab: Lab, open_lab: Callable[..., Lab], tmp_path: Path, kills: int, videos: int
) -> None:
    vast = vast_catalogue(channels=70, videos=videos)
    with Emulator(vast, key=SECRET) as emulator:
        process = Crawling(lab, emulator, 10, tmp_path)
        assert process.ended() == 0, process.stderr
        expected, undisturbed = outcomes(lab), emulator.counts.spent["units"]
    other = open_lab()
    luck = random.Random(11)
    with Emulator(vast, key=SECRET) as emulator:
        for kill in range(kills):
            process = Crawling(other, emulator, 10, tmp_path)
            # The undisturbed crawl spent a number of units. This number is divided into one equal part for each kill,
            # and half a part at the end. Each kill comes at a random point of its part. The half part has no kill, so
            # each kill comes before the crawl ends.
            enough = undisturbed * (kill + luck.random()) / (kills + 0.5)
            while emulator.counts.spent["units"] < enough and process.running:
                time.sleep(0.005)
            process.send(signal.SIGKILL)
            assert process.ended() == -signal.SIGKILL, "the crawl ended before it was killed"
        process = Crawling(other, emulator, 10, tmp_path)
        assert process.ended() == 0, process.stderr
        units = emulator.counts.spent["units"]
        counted = Ledger.of(other.engine, other.settings).balances(emulator.now)[0].spent
    assert outcomes(other) == expected
    # The crawl has eight threads, and a kill interrupts at most one call of each thread. The next process makes these
    # calls again.
    assert undisturbed <= units <= undisturbed + kills * 8
    assert units <= counted <= units + kills * 8
    with other.engine.connect() as connection:
        rows = connection.execute(select(func.count(), func.count(video_stats.c.video_id.distinct()))).one()
    assert rows[0] == rows[1] == len(stored(other))


def test_an_interrupted_crawl_ends_after_the_calls_under_way(lab: Lab, tmp_path: Path) -> None:
    with Emulator(vast_catalogue(channels=70, videos=40_000), key=SECRET) as emulator:
        process = Crawling(lab, emulator, 10, tmp_path)
        while emulator.counts.spent["units"] < 60:
            assert process.running, process.stderr
            time.sleep(0.01)
        process.send(signal.SIGINT)
        assert process.ended(15) != 0
    assert "KeyboardInterrupt" in process.stderr
    assert any(outcome is not None for outcome in outcomes(lab).values())


@pytest.mark.slow
def test_two_processes_share_a_niche_without_doing_work_twice(lab: Lab, tmp_path: Path) -> None:
    vast = vast_catalogue(channels=35, videos=2_000)
    with Emulator(vast, key=SECRET) as emulator:
        both = [Crawling(lab, emulator, 5, tmp_path) for _ in range(2)]
        for process in both:
            assert process.ended() == 0, process.stderr
        units = emulator.counts.spent["units"]
    looked_at = len(outcomes(lab))
    engine = create_engine(lab.engine.url)
    with engine.connect() as connection:
        waiting = connection.execute(text("SELECT count(*) FROM crawl_videos WHERE outcome IS NULL")).scalar_one()
    engine.dispose()
    assert waiting == 0
    assert looked_at > 1_300
    # Most calls read 50 videos, or 50 uploads of a channel. For each niche, each of the two processes may make two more
    # calls, which `4 * len(DEFAULT_NAMES)` counts. In one of these calls, the process requests channels that the other
    # process also requests. In the other call, the process requests the last videos of the niche, which may be fewer
    # than 50.
    assert units <= looked_at / 50 + 35 * (2_000 / 35 / 50 + 1) + 4 * len(DEFAULT_NAMES)
