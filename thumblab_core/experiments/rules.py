"""Check that an experiment can be stored: its variants, shares of watch time, days, outcome and winner."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from thumblab_core.errors import LabError
from thumblab_core.experiments.records import (
    INCONCLUSIVE,
    LEAST_VARIANTS,
    MOST_VARIANTS,
    OUTCOMES,
    PERFORMED_THE_SAME,
    WINNER,
    Experiment,
    GivenExperiment,
    GivenVariant,
    Variant,
    known_shares,
)
from thumblab_core.given_text import storable, visible

MOST_IMPRESSIONS = 2**53 - 1
"""The largest number of impressions of a variant. JSON and spreadsheets can represent no larger whole number exactly.
"""

LONGEST_TEXT = 500
"""Maximum number of characters of a title or a name. YouTube allows 100 characters in a title."""

FIRST_DAY = date(2005, 2, 14)
"""The first day of YouTube. No experiment can have an earlier day."""

LONGEST_TEST = timedelta(days=366)
"""Maximum time from the first to the last day of a test. YouTube ends its own tests after about two weeks."""

_ROUNDING = 0.02
"""The largest accepted difference between 1 and the sum of the shares of watch time.

Three shares that are rounded to whole percentages add up to 0.99, 1 or 1.01. The database accepts a difference that is
larger by 0.000001, because sums of floating-point numbers are not exact.
"""

_OTHER_NAMES = {"performed_same": PERFORMED_THE_SAME, "same": PERFORMED_THE_SAME}


class RuleError(LabError):
    """An error for an experiment that breaks a rule.

    `field` names the attribute of `GivenExperiment` that is wrong. If the second variant's title is wrong, `field` is
    `variants.1.title`.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class CheckedExperiment:
    """An experiment that has passed the checks of `check_rules`.

    `shares` are the shares of watch time as fractions.
    """

    given: GivenExperiment[Any]
    outcome: str
    winner: int | None
    shares: tuple[float | None, ...]

    def with_pictures(self, channel_id: str, sha256s: Sequence[str | None]) -> Experiment:
        """Return the experiment to store. `sha256s` [n] are the keys of the variants' pictures in the image store.

        Raises `RuleError` if two variants have the same picture and the same title.
        """
        variants = tuple(
            Variant(sha256, variant.title, share, variant.impressions)
            for sha256, variant, share in zip(sha256s, self.given.variants, self.shares, strict=True)
        )
        require_different(variants)
        given = self.given
        return Experiment(
            channel_id, given.video_id, given.started_on, given.ended_on, self.outcome, self.winner, variants
        )


def check_rules(given: GivenExperiment[Any]) -> CheckedExperiment:
    """Check an experiment by all rules that need neither the database nor the pictures.

    Raises `RuleError` if a rule is broken. The message says which rule is broken, and what to do.
    """
    _require_text("channel", "channel", given.channel)
    _require_text("video_id", "video", given.video_id)
    _require_variants(given.variants)
    _require_days(given.started_on, given.ended_on)
    shares = fractions([variant.share for variant in given.variants])
    outcome = outcome_of(given.outcome)
    return CheckedExperiment(given, outcome, _winner(given, outcome, shares), tuple(shares))


def require_different(variants: Sequence[Variant]) -> None:
    """Raise `RuleError` if two variants have the same picture and the same title."""
    seen: dict[tuple[str | None, str | None], int] = {}
    for at, variant in enumerate(variants, 1):
        first = seen.setdefault((variant.sha256, variant.title), at)
        if first != at:
            raise RuleError(
                f"variants.{at - 1}",
                f"variants {first} and {at} have the same picture and title; give each variant its own picture or title",
            )


def outcome_of(text: str) -> str:
    """Return the outcome that a text such as `Performed the same` stands for. Case, spaces and hyphens do not matter.

    Raises `RuleError` if the text names none of the three outcomes.
    """
    name = re.sub(r"[\s_-]+", "_", text.strip().casefold())
    name = _OTHER_NAMES.get(name, name)
    if name not in OUTCOMES:
        raise RuleError(
            "outcome",
            f"outcome {text[:40]!r} is not an outcome of YouTube's tests; write {', '.join(OUTCOMES[:-1])} or "
            f"{INCONCLUSIVE}",
        )
    return name


def fractions(shares: Sequence[float | None]) -> list[float | None]:
    """Return shares of watch time as fractions of 1. If the shares add up to 100, they are read as percentages.

    If no share is known, all results are None. Raises `RuleError` if only some shares are known, if a share is
    negative, or if the shares add up to neither 1 nor 100. The sum may differ from 1 by 0.02, or from 100 by 2
    (`_ROUNDING`).
    """
    known = known_shares(shares)
    if known is None:
        if any(share is not None for share in shares):
            raise RuleError(
                "variants",
                "the share of watch time is given for some variants only; give the share of every variant, or of none",
            )
        return list(shares)
    total = sum(known)
    for whole in (1.0, 100.0):
        parts = [share / whole for share in known]
        # Sums of binary fractions are not exact, so a sum may exceed the limit by 1e-9 here. The limit in the database
        # is larger by 1e-6, so the database accepts every sum that passes here.
        if abs(sum(parts) - 1) <= _ROUNDING + 1e-9 and min(known) >= 0:
            return [min(part, 1.0) for part in parts]
    raise RuleError(
        "variants", f"the shares of watch time add up to {total:g}; give percentages of 0 or more that add up to 100"
    )


def last_day() -> date:
    """Return the latest day on which variants may have been shown: tomorrow, by UTC.

    In time zones ahead of UTC, that day may have begun already.
    """
    return datetime.now(UTC).date() + timedelta(days=1)


def _require_days(started_on: date, ended_on: date | None) -> None:
    last = last_day()
    for name, day in (("started_on", started_on), ("ended_on", ended_on)):
        if day is not None and day > last:
            raise RuleError(name, f"{day} is in the future; give the days on which the variants were shown")
        if day is not None and day < FIRST_DAY:
            raise RuleError(name, f"{day} is before YouTube existed; give the days on which the variants were shown")
    if ended_on is not None and ended_on < started_on:
        raise RuleError("ended_on", f"the test ended on {ended_on}, before it started on {started_on}; check the days")
    if ended_on is not None and ended_on - started_on > LONGEST_TEST:
        days = (ended_on - started_on).days
        raise RuleError("ended_on", f"the test would have run for {days:,} days; check its first and last day")


def _require_variants(variants: Sequence[GivenVariant[Any]]) -> None:
    if not LEAST_VARIANTS <= len(variants) <= MOST_VARIANTS:
        raise RuleError(
            "variants", f"a test has 2 or 3 variants, and {len(variants)} are given; give the variants of one test"
        )
    for what, values in (
        ("picture", [variant.picture for variant in variants]),
        ("title", [variant.title for variant in variants]),
    ):
        missing = [at for at, value in enumerate(values, 1) if value is None]
        if 0 < len(missing) < len(values):
            raise RuleError(
                f"variants.{missing[0] - 1}.{what}",
                f"variant {' and '.join(map(str, missing))} has no {what}; give a {what} for every variant, or for none",
            )
    for at, variant in enumerate(variants, 1):
        if variant.title is not None:
            _require_text(f"variants.{at - 1}.title", f"title of variant {at}", variant.title)
        if variant.impressions is not None and not 0 <= variant.impressions <= MOST_IMPRESSIONS:
            raise RuleError(
                f"variants.{at - 1}.impressions",
                f"the impressions of variant {at} are {variant.impressions}; give a count of 0 or more",
            )
    if variants[0].picture is None and variants[0].title is None:
        raise RuleError("variants", "the variants have neither pictures nor titles; give what was tested")


def _require_text(field: str, what: str, text: str) -> None:
    if not storable(text):
        raise RuleError(field, f"the {what} holds bytes that are not text; write it in UTF-8")
    if not visible(text):
        raise RuleError(field, f"the {what} is empty; write it, or leave it out if it is optional")
    if len(text) > LONGEST_TEXT:
        raise RuleError(field, f"the {what} has {len(text)} characters; at most {LONGEST_TEXT} are allowed")


def _winner(given: GivenExperiment[Any], outcome: str, shares: Sequence[float | None]) -> int | None:
    """Return the position of the winner, or None if the outcome is not `winner`.

    If no winner is given, the variant with the largest share is the winner. Raises `RuleError` if the given winner does
    not fit the outcome or the number of variants. Without a given winner, raises `RuleError` if the shares are not
    known, or if two variants have the largest share.
    """
    if outcome != WINNER:
        if given.winner is not None:
            raise RuleError(
                "winner",
                f"a winner is given, but the outcome is {outcome}; leave the winner out, or correct the outcome",
            )
        return None
    if given.winner is None:
        known = known_shares(shares)
        if known is None or known.count(max(known)) > 1:
            raise RuleError(
                "winner", "the outcome is winner, but it is not known which variant won; give its number, such as 1"
            )
        return known.index(max(known)) + 1
    if not 1 <= given.winner <= len(given.variants):
        raise RuleError(
            "winner",
            f"the winner is variant {given.winner}, but the test has {len(given.variants)} variants; count from 1",
        )
    return given.winner
