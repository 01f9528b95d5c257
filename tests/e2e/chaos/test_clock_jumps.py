"""Move the clock of a whole running lab, with all of its servers and its database, and check that it goes on.

libfaketime (Debian's package `faketime`) gives every process of the lab the time of a file. The kernel's clock stays.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos_lab import REFRESH, TRAIN, ChaosLab, asking, chaos_lab
from chaos_trial import Plan, converged
from real_processes import new_folder, thumblab, wait_until

from thumblab_core.releases.release import ALL, MODEL
from thumblab_core.releases.release_store import ReleaseStore

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.heavy,
    pytest.mark.timeout(2_400),
    pytest.mark.skipif(not LIBRARIES, reason="there is no libfaketime; install the package faketime"),
]

AHEAD, BACK = "+3d", "-2d"


class LabClock:
    """The clock of the lab's processes, which read its offset from a file once a second."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set("+0")

    def set(self, offset: str) -> None:
        """Set the clock to the true time plus `offset`, such as `+3d`."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{offset}\n")
        written.chmod(0o644)  # The database runs as another user if root runs the tests.
        written.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            # A step of a machine's clock changes neither the monotonic clock nor the dates of files.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


@pytest.fixture(scope="module")
def clock() -> Iterator[LabClock]:
    with new_folder() as folder:
        yield LabClock(folder / "offset")


@pytest.fixture(scope="module")
def chaos(clock: LabClock) -> Iterator[ChaosLab]:
    with new_folder() as folder, chaos_lab(folder, **clock.environment) as chaos:
        yield chaos


@pytest.mark.parametrize("offset", [AHEAD, BACK])
def test_a_lab_whose_clock_jumps_during_a_refresh_goes_on_without_help(
    chaos: ChaosLab, clock: LabClock, drawn: Callable[..., bytes], offset: str
) -> None:
    clock.set("+0")
    chaos.set_back(REFRESH)
    with asking(chaos.lab, [drawn(1), drawn(2)]) as asked:
        run_id = chaos.launch(REFRESH)
        wait_until(lambda: chaos.processes.workers(), 180, "the run has a process", 0.2)
        clock.set(offset)
        outcome = converged(chaos, Plan(1, REFRESH, "clock", 0.0), run_id)
        # What is made after the jump is the newest and is served, although its date may be earlier.
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
