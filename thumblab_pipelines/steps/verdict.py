"""The outcome of one thing that was looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """`passed` False stops what comes after; `explanation` carries the figures either way."""

    name: str
    passed: bool
    explanation: str
