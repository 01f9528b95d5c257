"""Test the rules that are checked before an experiment is stored.

Shares of watch time may be percentages or fractions, and outcomes may be written as in YouTube Studio. If an experiment
breaks a rule, the error describes the fault.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from given_experiments import given, stored

from thumblab_core.errors import LabError
from thumblab_core.experiments.records import Variant
from thumblab_core.experiments.rules import RuleError, check_rules, fractions, outcome_of, require_different

A, B, C, D = (Path(f"{name}.jpg") for name in "abcd")
TWO = (A, B)


def shares(*values: float | None) -> list[dict[str, Any]]:
    return [{"title": f"title {at}", "share": value} for at, value in enumerate(values)]


@pytest.mark.parametrize("values", [(46.1, 53.9), (0.461, 0.539)])
def test_shares_may_be_percentages_or_fractions(values: tuple[float, float]) -> None:
    assert fractions(values) == pytest.approx([0.461, 0.539])


@pytest.mark.parametrize("values", [(50.0, 0.0), (46.1, 0.0), (30.0, 0.02), (1.0, 1.0)])
def test_shares_that_do_not_add_up_are_refused_even_if_one_of_them_is_above_1(values: tuple[float, float]) -> None:
    with pytest.raises(RuleError, match="add up to"):
        fractions(values)


def test_a_small_percentage_stays_small() -> None:
    assert fractions((99.99, 0.01)) == pytest.approx([0.9999, 0.0001])


@pytest.mark.parametrize("values", [(49.0, 49.0), (34.0, 34.0, 34.0), (20.1, 44.2, 33.7), (0.51, 0.51)])
def test_shares_may_miss_100_percent_by_2_with_any_rounding_of_binary_fractions(values: tuple[float, ...]) -> None:
    shares = fractions(values)
    assert abs(sum(shares) - 1) <= 0.02 + 1e-6, "the database allows this difference"  # type: ignore[arg-type]


def test_three_shares_may_be_rounded_to_whole_percentages() -> None:
    assert fractions([33.0, 33.0, 33.0]) == [0.33, 0.33, 0.33]
    assert fractions([34.0, 34.0, 33.0]) == [0.34, 0.34, 0.33]
    assert fractions([100.0, 0.0]) == [1.0, 0.0]
    assert fractions([None, None]) == [None, None]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("winner", "winner"),
        (" Winner ", "winner"),
        ("Performed the same", "performed_the_same"),
        ("performed-same", "performed_the_same"),
        ("INCONCLUSIVE", "inconclusive"),
    ],
)
def test_an_outcome_may_be_written_as_studio_writes_it(text: str, outcome: str) -> None:
    assert outcome_of(text) == outcome


def test_the_variant_with_the_largest_share_is_the_winner_if_no_winner_is_given() -> None:
    assert check_rules(given(shares(30, 40, 30), outcome="winner")).winner == 2
    assert check_rules(given(TWO, outcome="winner", winner=1)).winner == 1


BROKEN: dict[str, tuple[Any, dict[str, Any], str]] = {
    "one variant": ((A,), {}, "a test has 2 or 3 variants, and 1 are given"),
    "four variants": ((A, B, C, D), {}, "a test has 2 or 3 variants, and 4 are given"),
    "a picture missing": ((A, {"title": "t"}), {}, "variant 2 has no picture; give a picture for every variant"),
    "a title missing": (({"picture": A, "title": "t"}, B), {}, "variant 2 has no title"),
    "nothing tested": (({}, {}), {}, "neither pictures nor titles"),
    "an empty title": (("one", "\u200b"), {}, "the title of variant 2 is empty"),
    "a title of bytes": (("one", "\udc80"), {}, "the title of variant 2 holds bytes"),
    "a long title": (("one", "x" * 501), {}, "the title of variant 2 has 501 characters; at most 500"),
    "no channel": (TWO, {"channel": ""}, "the channel is empty"),
    "a video of bytes": (TWO, {"video_id": "\udc80"}, "the video holds bytes"),
    "another outcome": (TWO, {"outcome": "won"}, "outcome 'won' is not an outcome of YouTube's tests; write winner"),
    "a day in the future": (TWO, {"ended_on": date(9999, 1, 1)}, "9999-01-01 is in the future; give the days"),
    "a day before YouTube": (TWO, {"started_on": date(2005, 2, 13)}, "2005-02-13 is before YouTube existed; give"),
    "dates in reverse": (TWO, {"ended_on": date(2026, 10, 31)}, "ended on 2026-10-31, before it started on 2026-11-01"),
    "some shares": (shares(50, None), {}, "the share of watch time is given for some variants only"),
    "shares of half": (shares(25, 25), {}, "add up to 50; give percentages"),
    "a negative share": (shares(-10, 110), {}, "give percentages of 0 or more"),
    "negative impressions": (({"picture": A, "impressions": -1}, B), {}, "the impressions of variant 1 are -1"),
    "a winner of another outcome": (TWO, {"winner": 1}, "a winner is given, but the outcome is inconclusive"),
    "an unknown winner": (TWO, {"outcome": "winner"}, "it is not known which variant won"),
    "a tie": (shares(50, 50), {"outcome": "winner"}, "it is not known which variant won"),
    "a winner that is no variant": (TWO, {"outcome": "winner", "winner": 3}, "variant 3, but the test has 2 variants"),
    "winner 0": (TWO, {"outcome": "winner", "winner": 0}, "count from 1"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_a_sentence_that_says_what_is_wrong(name: str) -> None:
    variants, values, sentence = BROKEN[name]
    with pytest.raises(LabError) as error:
        check_rules(given(variants, **values))
    assert sentence in str(error.value)
    assert ";" in str(error.value)  # The part after the semicolon names the next step.


FIELDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "variants": ((A,), {}),
    "variants.1.picture": ((A, {"title": "t"}), {}),
    "variants.1.title": (("one", "\u200b"), {}),
    "variants.0.impressions": (({"picture": A, "impressions": -1}, B), {}),
    "channel": (TWO, {"channel": ""}),
    "video_id": (TWO, {"video_id": "\udc80"}),
    "started_on": (TWO, {"started_on": date(2004, 1, 1)}),
    "ended_on": (TWO, {"ended_on": date(9999, 1, 1)}),
    "outcome": (TWO, {"outcome": "won"}),
    "winner": (TWO, {"outcome": "winner", "winner": 3}),
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_broken_rule_names_the_field(field: str) -> None:
    variants, values = FIELDS[field]
    with pytest.raises(RuleError) as error:
        check_rules(given(variants, **values))
    assert error.value.field == field


def test_variants_must_differ_in_picture_or_title() -> None:
    a, b = "a" * 64, "b" * 64
    require_different([Variant(a, "one"), Variant(a, "two"), Variant(b, "one")])
    with pytest.raises(LabError, match="variants 1 and 3 have the same picture and title"):
        require_different([Variant(a, "one"), Variant(b, "one"), Variant(a, "one")])


def test_a_winner_without_the_largest_share_is_a_contradiction() -> None:
    def contradiction(*values: float | None, winner: int | None) -> str:
        variants = tuple(Variant(None, f"title {at}", value) for at, value in enumerate(values))
        return replace(stored(1, winner).experiment, variants=variants).contradiction

    assert contradiction(0.6, 0.4, winner=2) == "variant 2 won, but variant 1 has the largest share of watch time"
    assert contradiction(0.4, 0.6, winner=2) == ""
    assert contradiction(0.5, 0.5, winner=2) == ""
    assert contradiction(None, None, winner=2) == ""
    assert contradiction(0.9, 0.1, winner=None) == ""


@pytest.mark.parametrize(
    ("variants", "tested"),
    [
        ((Variant("a", None), Variant("b", None)), "pictures"),
        ((Variant("a", "one"), Variant("b", "one")), "pictures"),
        ((Variant("a", "one"), Variant("a", "two")), "titles"),
        ((Variant(None, "one"), Variant(None, "two")), "titles"),
        ((Variant("a", "one"), Variant("b", "two")), "pictures and titles"),
    ],
)
def test_an_experiment_says_what_was_tested(variants: tuple[Variant, ...], tested: str) -> None:
    assert replace(stored(1).experiment, variants=variants).tested == tested
