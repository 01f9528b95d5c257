"""Recognise the cause of a failure from the text of its error, and advise what to do.

docs/faults.md describes the same causes. All failures with the same cause form one alert, however many runs fail.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from thumblab_pipelines.alerts.lines import one_line

_LONGEST = 400


@dataclass(frozen=True)
class _Known:
    cause: str
    words: re.Pattern[str]
    advice: str


_KNOWN = (
    _Known(
        "disk",
        re.compile(
            r"No space left|no room is left on the disk|file system is read-only|quota of the disk|disk reports an"
        ),
        "Make room on the disk, or mount it for writing. The next run continues.",
    ),
    _Known(
        "database",
        re.compile(
            r"\bdatabase (does not|ended|is read-only|refuses|server)|THUMBLAB_DATABASE_URL|pooler|psycopg|"
            r"server takes no more connections|server ended a statement|no database to ask|the embedded (database|server)",
            re.IGNORECASE,
        ),
        "Runs are tried again when the database answers. `thumblab doctor` says why it does not.",
    ),
    _Known(
        "mlflow",
        re.compile(r"MLflow"),
        "`thumblab up` restarts MLflow. If MLflow runs on another machine, start it there; the next run continues.",
    ),
    _Known(
        "quota",
        re.compile(r"YouTube's quota|its quota are spent"),
        "Do nothing. The collected videos are kept, and the next run after midnight in California continues.",
    ),
    _Known(
        "process",
        re.compile(r"its process is gone"),
        "The process was killed more often than Dagster retries. If memory was short, `thumblab doctor` says so.",
    ),
)
_OTHER_ADVICE = "The run's page in Dagster has the whole error. `thumblab doctor` examines the lab."
CHECK_ADVICE = (
    "The check's page in Dagster has its figures. If a release did not pass, the release before it stays in service."
)
LATE_ADVICE = (
    "`thumblab doctor` says whether the daemon runs and the schedules are on. "
    "`thumblab refresh NICHE` refreshes a niche now."
)


def cause_of(error: str, niches: Sequence[str]) -> tuple[str, str]:
    """Return the name of the cause and the advice for it. `error`: the text of an error, shortened by `first_sentence`.

    The name of an unknown cause is a digest of the error's words, without numbers, file names, quoted texts and
    the names of `niches`. So the same error on different videos or niches has the same cause.
    """
    for known in _KNOWN:
        if known.words.search(error):
            return known.cause, known.advice
    words = re.sub(r"'[^']*'|\"[^\"]*\"|\S*/\S*", "~", error)
    words = re.sub(r"[0-9a-f]{8,}|\d+", "#", words, flags=re.IGNORECASE)
    if niches:
        words = re.sub(rf"(?<![\w-])({'|'.join(map(re.escape, niches))})(?![\w-])", "~", words)
    return f"error-{hashlib.sha256(words.encode()).hexdigest()[:12]}", _OTHER_ADVICE


def first_sentence(text: str) -> str:
    """Return the first sentence of the first line of an error, without control characters."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    line = one_line(lines[0]) if lines else "no reason given"
    # A sentence ends at a full stop before a space and a capital letter. A full stop inside a file name, a version or
    # an address does not end a sentence.
    return _cut(re.split(r"(?<=[.!?])\s+(?=[A-Z\"'(])", line)[0])


def shortened(text: str) -> str:
    """Return the explanation of a check as one line without control characters. Unlike errors, explanations have no
    traceback, and their last sentence may say what to do."""
    return _cut(one_line(text))


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
