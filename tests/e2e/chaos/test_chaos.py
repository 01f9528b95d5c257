"""Kill one process of a running lab again and again, and check that the lab recovers without help.

A trial starts a refresh or a training as the UI does, and sends SIGKILL to one process at a random moment. Then the
trial only watches. After at most five minutes, the data must be the same as after a run without a kill. No temporary
files or locks may remain. In a trial that does not kill the scoring service, the service must have answered every
request.

    CHAOS_TRIALS=100 CHAOS_SEED=7 pytest -m heavy -n 0 -s tests/e2e/chaos

CHAOS_FIRST and CHAOS_LAST are the numbers of the first and the last trial to run. CHAOS_KEEP names a folder for the
outcomes and the logs of failed trials. CHAOS_LAB names a folder in which the lab is kept, so that the next call does
not have to make the lab again.
"""

import json
import os
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from chaos_lab import ChaosLab, chaos_lab
from chaos_trial import NOTHING, Outcome, Plan, keep_logs, plans, run_trial
from real_processes import new_folder

TRIALS = int(os.environ.get("CHAOS_TRIALS", "5"))
SEED = int(os.environ.get("CHAOS_SEED", "7"))
LAB = os.environ.get("CHAOS_LAB")
FIRST = int(os.environ.get("CHAOS_FIRST", "1"))
LAST = int(os.environ.get("CHAOS_LAST", str(TRIALS)))
KEEP = os.environ.get("CHAOS_KEEP")

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1_200 + 600 * TRIALS)]


@pytest.fixture
def keep() -> Path:
    folder = Path(KEEP) if KEEP else Path(tempfile.mkdtemp(prefix="thumblab-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def new_lab(stack: ExitStack) -> ChaosLab:
    """Start a lab that is stopped when `stack` closes.

    If the variable CHAOS_LAB names a folder, the lab stays in this folder and is used again.
    """
    folder = Path(LAB) if LAB else stack.enter_context(new_folder())
    folder.mkdir(exist_ok=True)
    return stack.enter_context(chaos_lab(folder))


def test_a_lab_recovers_without_help_whichever_process_is_killed(drawn: Callable[..., bytes], keep: Path) -> None:
    pictures = [drawn(1), drawn(2)]
    failed: list[Outcome] = []
    outcomes: list[Outcome] = []
    with ExitStack() as labs:
        chaos: ChaosLab | None = None
        for plan in plans(TRIALS, SEED)[FIRST - 1 : LAST]:
            if chaos is None:
                labs.close()
                chaos = new_lab(labs)
                seconds = {job.name: round(one.seconds) for job, one in chaos.undisturbed.items()}
                print(f"\nundisturbed, the jobs take {seconds} s")
            outcome = tried(chaos, plan, pictures)
            if outcome.killed == NOTHING and not outcome.wrong:  # The run ended before the moment of the kill.
                outcome = tried(chaos, replace(plan, moment=plan.moment / 3), pictures)
            outcomes.append(outcome)
            print(f"{plan}, seed {SEED}: {told(outcome)}", flush=True)
            with (keep / "outcomes.jsonl").open("a") as lines:
                lines.write(json.dumps(asdict(outcome) | {"seed": SEED, "at": time.time()}) + "\n")
            if outcome.wrong:
                failed.append(outcome)
                print(f"  its logs are in {keep_logs(chaos, plan, keep)}", flush=True)
            if not becomes_calm(chaos):
                print("  the lab does not become calm, so a new one is started", flush=True)
                chaos = None
    print(summary(outcomes))
    assert not failed, "\n".join(f"{outcome.plan}: {outcome.wrong}" for outcome in failed)


def tried(chaos: ChaosLab, plan: Plan, pictures: list[bytes]) -> Outcome:
    """Run a trial. An error in the trial's own code also counts as a failure of the trial."""
    try:
        return run_trial(chaos, plan, pictures)
    except Exception as error:  # noqa: BLE001  The lab may be in any state.
        traceback.print_exc()
        return Outcome(plan, wrong=[f"{type(error).__name__}: {error}"])


def becomes_calm(chaos: ChaosLab) -> bool:
    deadline = time.monotonic() + 120
    while not chaos.is_calm():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def told(outcome: Outcome) -> str:
    times = f"run ended {outcome.run_ended or -1:.0f} s, all well {outcome.recovered or -1:.0f} s after the kill"
    mended = ", mended by the next run" if outcome.mended_by_next_run else ""
    service = f"{outcome.answers} answers, {outcome.refused} refused, slowest {outcome.slowest_answer:.1f} s"
    wrong = f"; WRONG: {outcome.wrong}" if outcome.wrong else ""
    moment = "" if outcome.during else " after the run"
    return f"killed{moment} {outcome.killed}; {'>'.join(outcome.runs)}{mended}; {times}; {service}{wrong}"


def summary(outcomes: list[Outcome]) -> str:
    """Return a table with a line for each kind of killed process: the number of trials and of failed trials, and the
    seconds to recover.
    """
    lines = [
        "",
        "victim | trials | during the run | failed | mended by the next run | seconds to recover (median, most)",
    ]
    for victim in sorted({outcome.plan.victim for outcome in outcomes}):
        some = [outcome for outcome in outcomes if outcome.plan.victim == victim]
        seconds = [outcome.recovered for outcome in some if outcome.recovered is not None] or [float("nan")]
        wrong = sum(bool(outcome.wrong) for outcome in some)
        mended = sum(outcome.mended_by_next_run for outcome in some)
        spread = f"{statistics.median(seconds):.0f}, {max(seconds):.0f}"
        during = sum(outcome.during for outcome in some)
        lines.append(f"{victim} | {len(some)} | {during} | {wrong} | {mended} | {spread}")
    return "\n".join(lines)
