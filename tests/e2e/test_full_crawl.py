"""Test a crawl that is as large as the crawl in docs/collection.md.

The crawl covers 1,500 channels and 200,000 videos. The test runs the crawl twice, each time in a new lab. The first
crawl is not disturbed. The second crawl is killed ten times, and continued after each kill.

The test takes 15 minutes, so only `make test-all` runs it. With pytest's option `-s`, the test prints its
results.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from real_processes import environment, new_folder
from sqlalchemy import create_engine, text

from demo.catalogues.vast import vast_catalogue
from demo.emulator import Emulator
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.settings import CHECKOUT

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(3_600)]

KEY = "AIzaSecretOfTheTests"
CHANNELS, VIDEOS = 1_500, 200_000
MOST_UNITS = 9_600
MOST_MEMORY = 600e6
KILLS = 10


class Laboratory:
    """A lab in its own data folder.

    The Dagster runs of the lab, which `dg launch` starts, collect videos from the emulator.
    """

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self._emulator = emulator
        home = folder / "dagster"
        home.mkdir()
        shutil.copy(CHECKOUT / "dagster.yaml", home)
        self._environment = environment(
            folder,
            DAGSTER_HOME=str(home),
            THUMBLAB_YOUTUBE_ENDPOINT=emulator.endpoint,
            THUMBLAB_YOUTUBE_API_KEY=KEY,
            THUMBLAB_CRAWL_CHANNELS=str(CHANNELS // len(DEFAULT_NAMES)),
        )
        self._environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{self._environment['PATH']}"
        self.peak = 0.0
        self.seconds = 0.0

    def crawl(self, niche: str, until_units: float = float("inf")) -> bool:
        """Materialize the partition `niche` of the asset `crawled_videos`, and return whether the run finished.

        Kill the run when `until_units` units of quota are spent.
        """
        command = ["dg", "launch", "--assets", "crawled_videos", "--partition", niche]
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            env=self._environment,
            cwd=CHECKOUT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        seen = psutil.Process(process.pid)
        killed = False
        try:
            while process.poll() is None:
                if self._emulator.counts.spent["units"] >= until_units:
                    process.kill()
                    killed = True
                    break
                self.peak = max(self.peak, seen.memory_info().rss)
                time.sleep(0.01)
        except psutil.NoSuchProcess:
            pass
        _, stderr = process.communicate()
        self.seconds += time.monotonic() - started
        assert killed or process.returncode == 0, stderr[-3_000:]
        return not killed

    def add(self, niche: str, channels: list[str]) -> None:
        """Add `channels` with the command `thumblab crawl add`.

        The crawl could also find channels by search. But the catalogue has so few channels that the search would need
        days to find the last channels.
        """
        command = [sys.executable, "-m", "thumblab_cli.main", "crawl", "add", "--niche", niche, "--file", "-"]
        subprocess.run(
            command, env=self._environment, input="\n".join(channels), text=True, check=True, capture_output=True
        )

    def rows(self, query: str) -> list[tuple[object, ...]]:
        url = subprocess.run(
            [sys.executable, "-m", "thumblab_cli.main", "db", "url"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        engine = create_engine(url)
        with engine.connect() as connection:
            selected = [tuple(row) for row in connection.execute(text(query))]
        engine.dispose()
        return selected


@contextmanager
def laboratory(emulator: Emulator, lists: dict[str, list[str]]) -> Iterator[Laboratory]:
    with new_folder() as folder:
        keep = [sys.executable, "-m", "thumblab_cli.main", "db", "start"]
        subprocess.run(keep, env=environment(folder), check=True, capture_output=True)
        lab = Laboratory(folder, emulator)
        for niche, channels in lists.items():
            lab.add(niche, channels)
        yield lab


def outcome(lab: Laboratory) -> set[tuple[object, ...]]:
    return set(lab.rows("SELECT video_id, channel_id, niche, outcome FROM crawl_videos"))


def test_200_000_videos_take_one_days_quota_and_600_mb_even_with_ten_kills() -> None:
    catalogue = vast_catalogue(CHANNELS, VIDEOS)
    lists: dict[str, list[str]] = {niche: [] for niche in DEFAULT_NAMES}
    for channel_id in catalogue.channel_ids:
        channel = catalogue.channel(channel_id)
        assert channel is not None
        lists[channel.niche].append(channel_id)
    quota = {"daily_units": 10_000, "daily_searches": 100}
    with Emulator(catalogue, key=KEY, **quota) as emulator, laboratory(emulator, lists) as lab:
        for niche in DEFAULT_NAMES:
            assert lab.crawl(niche)
        expected, undisturbed = outcome(lab), emulator.counts.spent
        videos = lab.rows("SELECT count(*), count(DISTINCT video_id) FROM videos")[0]
        observations = lab.rows("SELECT count(*), count(DISTINCT video_id) FROM video_stats")[0]
        stored = lab.rows("SELECT video_id FROM videos")
        ledger = dict(lab.rows("SELECT bucket, spent FROM quota_ledger"))
        reasons = lab.rows("SELECT outcome, count(*) FROM crawl_videos GROUP BY outcome ORDER BY count(*) DESC")
        excluded = lab.rows("SELECT excluded, count(*) FROM crawl_channels GROUP BY excluded ORDER BY count(*) DESC")
        print(f"\nundisturbed: {undisturbed}, {lab.seconds:.0f} s, peak {lab.peak / 1e6:.0f} MB")
        print(f"channels: {excluded}\nvideos: {reasons}")
    assert sum(int(str(count)) for _, count in excluded) == CHANNELS
    assert undisturbed["units"] <= MOST_UNITS
    assert lab.peak < MOST_MEMORY
    assert videos[0] == videos[1] == len(stored)
    assert observations[0] == observations[1] == videos[0]
    assert ledger == {bucket: spent for bucket, spent in undisturbed.items() if spent}

    luck = random.Random(5)
    kills = sorted(undisturbed["units"] * luck.random() for _ in range(KILLS))
    with Emulator(catalogue, key=KEY) as emulator, laboratory(emulator, lists) as lab:
        for niche in DEFAULT_NAMES:
            while not lab.crawl(niche, kills[0] if kills else float("inf")):
                kills.pop(0)
        units = emulator.counts.spent["units"]
        print(f"killed {KILLS} times: {units} units, {units / undisturbed['units'] - 1:+.2%}, {lab.seconds:.0f} s")
        assert outcome(lab) == expected
        assert set(lab.rows("SELECT video_id FROM videos")) == set(stored)
    assert kills == []
    assert units <= 1.02 * undisturbed["units"]
