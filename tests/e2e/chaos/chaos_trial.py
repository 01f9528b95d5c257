"""Run a chaos trial: start a job, kill one process of the lab at a random moment, and wait until the lab recovers by
itself.
"""

import random
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
from chaos_lab import ENDED, REFRESH, TRAIN, ChaosLab, Job, asking
from chaos_victims import VICTIMS, described

MOST_SECONDS = 300.0
"""The seconds by which a kill may delay a job. A trial may take this delay plus the time of a job without a kill."""

_SETTLED_SECONDS = 12.0
"""If Dagster has not retried a failed run within this number of seconds, the test expects no retry."""

SERVICE_VICTIMS = ("service",)

DATABASES = ("database", "a process of the database")
"""The processes whose kill stops the database. Dagster retries a step twice if the database is down. If all tries fail,
Dagster does not retry the run, and this is no fault.
"""

NOTHING = "nothing: there was no such process"


@dataclass(frozen=True)
class Plan:
    """The plan of a trial: what to kill and when.

    `moment` is the time of the kill, as a share of the seconds that the job takes without a kill. If the process to
    kill is a run worker, the moment is a share of the usual duration of this process.
    """

    number: int
    job: Job
    victim: str
    moment: float

    def __str__(self) -> str:
        return f"trial {self.number}: {self.victim} at {self.moment:.0%} of {self.job.name}"


@dataclass
class Outcome:
    """The outcome of a trial.

    The times are seconds after the kill. `during` is true if the run had not yet ended when the process was killed.
    """

    plan: Plan
    killed: str = ""
    during: bool = False
    runs: list[str] = field(default_factory=list)
    run_ended: float | None = None
    recovered: float | None = None
    mended_by_next_run: bool = False
    answers: int = 0
    slowest_answer: float = 0.0
    refused: int = 0
    out_of_service: float = 0.0
    wrong: list[str] = field(default_factory=list)


def plans(trials: int, seed: int) -> list[Plan]:
    """Return the plans of the trials. Each round has one trial for every kind of process to kill."""
    generator = random.Random(seed)
    found: list[Plan] = []
    while len(found) < trials:
        victims = list(VICTIMS)
        generator.shuffle(victims)
        for victim in victims:
            job = REFRESH if generator.random() < 0.6 else TRAIN
            found.append(Plan(len(found) + 1, job, victim, generator.random()))
    return found[:trials]


def run_trial(chaos: ChaosLab, plan: Plan, pictures: Sequence[bytes]) -> Outcome:
    """Run a trial on a lab in which every server answers and no run is active."""
    outcome = Outcome(plan)
    _wait(chaos.is_calm, 420, "the lab is calm")
    chaos.set_back(plan.job)
    with asking(chaos.lab, list(pictures)) as asked:
        _wait(lambda: asked.answers > 0, 180, "the service answers")
        root = chaos.launch(plan.job)
        victim = _victim(chaos, plan, root)
        if victim is None:
            outcome.killed = NOTHING
            if not _ended(chaos, root):
                outcome.wrong.append("no process of this kind runs, so the trial killed nothing")
        else:
            outcome.killed, outcome.during = str(described(victim)), not _ended(chaos, root)
            victim.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        _converge(chaos, outcome, root, killed)
        if outcome.recovered is not None and outcome.wrong == []:
            last = outcome.runs[-1] if outcome.runs else ""
            if last != "SUCCESS":
                outcome.mended_by_next_run = True
                if plan.victim not in DATABASES:
                    outcome.wrong.append("Dagster did not try the run again")
                _repeat(chaos, plan.job, outcome)
    _judge_service(asked.failures, plan, outcome, killed)
    outcome.answers, outcome.slowest_answer = asked.answers, asked.slowest
    outcome.wrong += [f"{name} differs" for name in chaos.differences(plan.job)]
    outcome.wrong += _lasting_damage(chaos)
    return outcome


def converged(chaos: ChaosLab, plan: Plan, root: str) -> Outcome:
    """Wait until the run has ended and the lab has recovered, and return the outcome."""
    outcome = Outcome(plan)
    _converge(chaos, outcome, root, time.monotonic())
    return outcome


def _victim(chaos: ChaosLab, plan: Plan, root: str) -> psutil.Process | None:
    """Wait until the moment at which `plan` kills a process, and return this process."""
    seconds = chaos.undisturbed[plan.job].seconds
    find = VICTIMS[plan.victim]
    chooser = random.Random(f"{plan.number} {plan.moment}")
    if plan.victim == "run worker":
        # The moment counts from the start of the worker process, which comes some seconds after the launch of the run.
        deadline = time.monotonic() + MOST_SECONDS
        while not find(chaos.processes):
            if time.monotonic() > deadline or _ended(chaos, root):
                return None
            time.sleep(0.2)
        seconds *= 0.6
    time.sleep(plan.moment * seconds)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := find(chaos.processes):
            return chooser.choice(found)
        if plan.victim == "run worker" and _ended(chaos, root):
            return None
        time.sleep(0.2)
    return None


def _ended(chaos: ChaosLab, root: str) -> bool:
    with suppress(psycopg.Error):
        return chaos.runs(root)[-1][1] in ENDED
    return False


def _converge(chaos: ChaosLab, outcome: Outcome, root: str, killed: float) -> None:
    """Wait until the last retry of the run has ended and the lab has recovered. Record both times in `outcome`."""
    failed_since: float | None = None
    limit = MOST_SECONDS + chaos.undisturbed[outcome.plan.job].seconds
    while True:
        now = time.monotonic()
        runs: list[tuple[str, str]] = []
        with suppress(psycopg.Error):
            runs = chaos.runs(root)
            outcome.runs = [status for _, status in runs]
        if runs and runs[-1][1] in ENDED:
            failed_since = None if runs[-1][1] == "SUCCESS" else failed_since or now
            given_up = failed_since is not None and now - failed_since > _SETTLED_SECONDS
            if given_up:
                try:
                    given_up = not chaos.will_retry(runs[-1][0])
                except psycopg.Error:
                    given_up = False
            if runs[-1][1] == "SUCCESS" or given_up:
                if outcome.run_ended is None:
                    outcome.run_ended = now - killed
                if chaos.is_calm():
                    outcome.recovered = time.monotonic() - killed
                    return
        else:
            failed_since = None
        if now - killed > limit:
            answering = chaos.answering()
            outcome.wrong.append(f"after {limit:.0f} s: the runs are {outcome.runs}, and only {answering} answer")
            return
        time.sleep(0.5)


def _repeat(chaos: ChaosLab, job: Job, outcome: Outcome) -> None:
    """Start the job once more, as the next tick of its schedule does."""
    run_id = chaos.launch(job)
    deadline = time.monotonic() + MOST_SECONDS + chaos.undisturbed[job].seconds
    while time.monotonic() < deadline:
        runs = chaos.runs(run_id)
        if runs and runs[-1][1] == "SUCCESS" and chaos.is_calm():
            return
        time.sleep(0.5)
    outcome.wrong.append(f"the next run did not mend it: {chaos.runs(run_id)}")


def _judge_service(failures: list[tuple[float, str]], plan: Plan, outcome: Outcome, killed: float) -> None:
    """Check that the scoring service answered every request. If the trial killed the service, failures after the kill
    are allowed.
    """
    outcome.refused = len(failures)
    if failures:
        outcome.out_of_service = max(0.0, failures[-1][0] - killed)
    if plan.victim not in SERVICE_VICTIMS:
        outcome.wrong += [f"the service failed {at - killed:+.1f} s after the kill: {why}" for at, why in failures[:3]]
    else:
        before = [why for at, why in failures if at < killed - 5]
        outcome.wrong += [f"the service failed before it was killed: {why}" for why in before]


def _lasting_damage(chaos: ChaosLab) -> list[str]:
    """Wait until the lab has no damage, for at most 75 seconds. Return the damage that is left.

    Some damage ends by itself. For example, a killed run holds its slot in Dagster's concurrency pool for half a
    minute.
    """
    deadline = time.monotonic() + 75
    while True:
        damage = chaos.damage()
        if not damage or time.monotonic() > deadline:
            return damage
        time.sleep(1)


def _wait(true: object, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"after {seconds:.0f} s, this has not happened: {what}"
        time.sleep(0.1)


def keep_logs(chaos: ChaosLab, plan: Plan, folder: Path) -> Path:
    """Copy the logs of all servers and of the database, and return the folder with the copies."""
    kept = folder / f"trial-{plan.number}"
    shutil.copytree(chaos.data_dir / "logs", kept, dirs_exist_ok=True)
    with suppress(OSError):
        shutil.copy(chaos.data_dir / "postgres" / "log", kept / "postgres.log")
    return kept
