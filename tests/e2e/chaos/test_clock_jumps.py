"""Move the clock of a running lab, with all its servers and its database, and check that the lab continues to work.

A small C library is preloaded into every process of the lab. The library changes the time that the process reads. The
clock of the kernel does not change.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos_lab import REFRESH, TRAIN, ChaosLab, asking, chaos_lab
from chaos_trial import Plan, converged
from real_processes import new_folder, thumblab, wait_until

from thumblab_core.releases.release import ALL, MODEL
from thumblab_core.releases.release_store import ReleaseStore

COMPILER = shutil.which("cc")

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(2_400),
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler"),
]

DAY = 86_400
AHEAD, BACK = 3 * DAY, -2 * DAY


class LabClock:
    """The clock of the lab's processes: the true time plus a number of seconds, see `lab_clock.c`."""

    def __init__(self, folder: Path) -> None:
        self._library, self._file = folder / "lab_clock.so", folder / "offset"
        source = Path(__file__).with_name("lab_clock.c")
        subprocess.run([str(COMPILER), "-shared", "-fPIC", "-O2", "-o", self._library, source], check=True)
        self._file.write_bytes(bytes(8))
        for file in (self._library, self._file):
            # If root runs the tests, the database runs as another user, who must be able to read this file.
            file.chmod(0o755)

    def set(self, seconds: int) -> None:
        """Set the clock to the true time plus `seconds`."""
        with self._file.open("r+b") as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "LAB_CLOCK": str(self._file)}


@pytest.fixture(scope="module")
def clock() -> Iterator[LabClock]:
    with new_folder() as folder:
        yield LabClock(folder)


@pytest.fixture(scope="module")
def chaos(clock: LabClock) -> Iterator[ChaosLab]:
    with new_folder() as folder, chaos_lab(folder, **clock.environment) as chaos:
        yield chaos


@pytest.mark.parametrize("offset", [AHEAD, BACK])
def test_a_lab_continues_without_help_if_the_clock_jumps_during_a_refresh(
    chaos: ChaosLab, clock: LabClock, drawn: Callable[..., bytes], offset: int
) -> None:
    clock.set(0)
    chaos.set_back(REFRESH)
    with asking(chaos.lab, [drawn(1), drawn(2)]) as asked:
        run_id = chaos.launch(REFRESH)
        wait_until(lambda: chaos.processes.workers(), 180, "the run has a process", 0.2)
        clock.set(offset)
        outcome = converged(chaos, Plan(1, REFRESH, "clock", 0.0), run_id)
        # A release that is made after the jump must count as the newest and be served, although its date may be
        # earlier.
        chaos.set_back(TRAIN)
        before = served_number(chaos)
        trained = converged(chaos, Plan(2, TRAIN, "clock", 0.0), chaos.launch(TRAIN))
    assert outcome.wrong == []
    assert outcome.runs[-1] == "SUCCESS", outcome.runs
    assert trained.wrong == []
    assert trained.runs[-1] == "SUCCESS", trained.runs
    assert asked.failures == []
    assert asked.answers > 0
    assert chaos.differences(TRAIN) == []
    assert served_number(chaos) > before
    assert chaos.damage() == []


def test_the_doctor_says_that_the_clock_is_behind_the_releases(chaos: ChaosLab, clock: LabClock) -> None:
    clock.set(BACK)
    done = thumblab(chaos.data_dir, "doctor", **clock.environment)
    assert "was made later" in done.stdout
    assert "timedatectl" in done.stdout


def served_number(chaos: ChaosLab) -> int:
    """Return the number of the served model."""
    served = ReleaseStore(chaos.data_dir / "releases").serving.current(MODEL, ALL)
    assert served is not None
    return served.number
