"""Define the record of an experiment, and check the rules that an experiment must follow to be stored.

An experiment is a test of two or three variants on one video, such as YouTube's Test & Compare. YouTube decides by the
share of watch time that each variant gets, and names one of three outcomes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from thumblab_core.errors import LabError
from thumblab_pipelines.tables.rows import not_utf8
from thumblab_pipelines.videos.names import visible

WINNER, PERFORMED_THE_SAME, INCONCLUSIVE = "winner", "performed_the_same", "inconclusive"
OUTCOMES = (WINNER, PERFORMED_THE_SAME, INCONCLUSIVE)
"""The three outcomes of YouTube's Test & Compare."""

MOST_VARIANTS = 3
"""YouTube tests at most three variants at a time."""

_ROUNDING = 0.02
"""The largest accepted difference between 1 and the sum of the shares of watch time. Three shares that are rounded to
whole percentages can add up to any value from 0.985 to 1.015. The limit in the database is slightly larger, by
0.000001."""

_OTHER_NAMES = {"performed_same": PERFORMED_THE_SAME, "same": PERFORMED_THE_SAME}
_LONGEST_TEXT = 500
"""Maximum number of characters of a title or a name. YouTube allows 100."""


@dataclass(frozen=True)
class GivenVariant:
    """A variant as a person gave it.

    `share`: its share of watch time as a percentage or a fraction, or None if the person did not give it.
    """

    picture: Path | None = None
    title: str | None = None
    share: float | None = None
    impressions: int | None = None


@dataclass(frozen=True)
class GivenExperiment:
    """An experiment as a person gave it. `channel` is an id, an exact title or a @handle.

    `winner` is the position of the winning variant, from 1. It may be None if the shares of watch time show the winner.
    """

    channel: str
    video_id: str
    started_on: date
    outcome: str
    variants: Sequence[GivenVariant]
    ended_on: date | None = None
    winner: int | None = None


@dataclass(frozen=True)
class Variant:
    """A variant to store. `sha256` names its picture in the image store. `watch_time_share`: a fraction from 0 to 1."""

    sha256: str | None
    title: str | None
    watch_time_share: float | None = None
    impressions: int | None = None


@dataclass(frozen=True)
class Experiment:
    """An experiment to store.

    `winner`: the position of the winning variant, from 1. It is None if the outcome is not `winner`.
    """

    channel_id: str
    video_id: str
    started_on: date
    ended_on: date | None
    outcome: str
    winner: int | None
    variants: tuple[Variant, ...] = field(default=())

    @property
    def tested(self) -> str:
        """What differs between the variants: pictures, titles, or both."""
        pictures = len({variant.sha256 for variant in self.variants}) > 1
        titles = len({variant.title for variant in self.variants}) > 1
        return "pictures and titles" if pictures and titles else "titles" if titles else "pictures"

    @property
    def contradiction(self) -> str:
        """A sentence that says how the shares of watch time contradict the outcome.

        The sentence is empty if no variant won, if the winner has the largest share, or if the shares are not known.

        An experiment with a contradiction can be stored, because a person may have noted the shares and the outcome on
        different days.
        """
        shares = known_shares([variant.watch_time_share for variant in self.variants])
        if self.winner is None or shares is None or shares[self.winner - 1] >= max(shares):
            return ""
        largest = shares.index(max(shares)) + 1
        return f"variant {self.winner} won, but variant {largest} has the largest share of watch time"


def known_shares(shares: Sequence[float | None]) -> list[float] | None:
    """Return the shares of watch time, or None if one of them is not known."""
    known = [share for share in shares if share is not None]
    return known if len(known) == len(shares) else None


def outcome_of(text: str) -> str:
    """Return the outcome that a text names. Case, spaces and hyphens do not matter.

    Raises `LabError` if the text names none of the three outcomes.
    """
    name = re.sub(r"[\s_-]+", "_", text.strip().casefold())
    name = _OTHER_NAMES.get(name, name)
    if name not in OUTCOMES:
        raise LabError(
            f"outcome {text[:40]!r} is none of YouTube's three; write {', '.join(OUTCOMES[:-1])} or inconclusive"
        )
    return name


def fractions(shares: Sequence[float | None]) -> list[float | None]:
    """Return shares of watch time as fractions of 1. Shares that add up to 100 are taken for percentages.

    If no share is known, all results are None. Raises `LabError` if only some shares are known, if a share is negative,
    or if the shares add up to neither 1 nor 100. `_ROUNDING` says which deviation from these sums is accepted.
    """
    known = known_shares(shares)
    if known is None:
        if any(share is not None for share in shares):
            raise LabError("some variants have a share of watch time and others have none; give all of them or none")
        return list(shares)
    total = sum(known)
    for whole in (1.0, 100.0):
        parts = [min(share / whole, 1.0) for share in known]
        # Sums of binary fractions are not exact, so a sum may exceed the limit by 1e-9. The limit in the database is
        # larger than that, so the database accepts every sum that passes here.
        if abs(sum(parts) - 1) <= _ROUNDING + 1e-9 and min(known) >= 0:
            return list(parts)
    raise LabError(f"the shares of watch time add up to {total:g}; give percentages of 0 or more that add up to 100")


def require_rules(given: GivenExperiment) -> tuple[str, int | None, list[float | None]]:
    """Check all rules of an experiment that can be checked without the database and without reading its pictures.

    Returns the outcome, the position of the winner, and the shares of watch time as fractions. Raises `LabError` if a
    rule is broken. The message says which rule is broken, and what to do.
    """
    for what, value in (("channel", given.channel), ("video", given.video_id)):
        _require_text(what, value)
    _require_variants(given.variants)
    if given.ended_on is not None and given.ended_on < given.started_on:
        raise LabError(f"the test ended on {given.ended_on}, before it started on {given.started_on}; check both days")
    shares = fractions([variant.share for variant in given.variants])
    outcome = outcome_of(given.outcome)
    return outcome, _winner(given, outcome, shares), shares


def _require_variants(variants: Sequence[GivenVariant]) -> None:
    if not 2 <= len(variants) <= MOST_VARIANTS:
        raise LabError(f"a test has 2 or 3 variants, and {len(variants)} are given; give the variants of one test")
    for what, values in (
        ("picture", [variant.picture for variant in variants]),
        ("title", [variant.title for variant in variants]),
    ):
        missing = [str(at) for at, value in enumerate(values, 1) if value is None]
        if 0 < len(missing) < len(values):
            raise LabError(
                f"variant {' and '.join(missing)} has no {what}; give a {what} for every variant, or for none"
            )
    for at, variant in enumerate(variants, 1):
        if variant.title is not None:
            _require_text(f"title of variant {at}", variant.title)
        if variant.impressions is not None and not 0 <= variant.impressions < 2**53:
            raise LabError(f"the impressions of variant {at} are {variant.impressions}; give a count of 0 or more")
    if variants[0].picture is None and variants[0].title is None:
        raise LabError("the variants have neither pictures nor titles; give what was tested")


def _require_text(what: str, text: str) -> None:
    if "\0" in text or not_utf8(text):
        raise LabError(f"the {what} holds bytes that are not text; write it in UTF-8")
    if not visible(text):
        raise LabError(f"the {what} is empty; write it, or leave it out if it is optional")
    if len(text) > _LONGEST_TEXT:
        raise LabError(f"the {what} has {len(text)} characters; at most {_LONGEST_TEXT} are kept")


def require_different(variants: Sequence[Variant]) -> None:
    """Raise `LabError` if two variants have the same picture and the same title."""
    seen: dict[tuple[str | None, str | None], int] = {}
    for at, variant in enumerate(variants, 1):
        first = seen.setdefault((variant.sha256, variant.title), at)
        if first != at:
            raise LabError(
                f"variants {first} and {at} have the same picture and title; give each variant its own picture or title"
            )


def _winner(given: GivenExperiment, outcome: str, shares: Sequence[float | None]) -> int | None:
    """Return the position of the winner, or None if the outcome is not `winner`.

    If no winner is given, the variant with the largest share is the winner. Raises `LabError` if the given winner does
    not fit the outcome or the number of variants, or if the shares do not show the winner.
    """
    if outcome != WINNER:
        if given.winner is not None:
            raise LabError(f"a winner is given, but the outcome is {outcome}; leave the winner out, or write winner")
        return None
    if given.winner is None:
        known = known_shares(shares)
        if known is None or known.count(max(known)) > 1:
            raise LabError("the outcome is winner, but it is not known which variant won; give its number, such as 1")
        return known.index(max(known)) + 1
    if not 1 <= given.winner <= len(given.variants):
        raise LabError(
            f"the winner is variant {given.winner}, but the test has {len(given.variants)} variants; count from 1"
        )
    return given.winner
