"""Make the tables that `thumblab quota` and `thumblab crawl` print."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from thumblab_cli.printing.tables import table

if TYPE_CHECKING:
    from thumblab_pipelines.collection.crawl_plan import Plan
    from thumblab_pipelines.collection.crawl_state import Counted
    from thumblab_pipelines.youtube.quota import Balance

_CALLS = {
    "units": "videos, channels, uploads",
    "searches": "search",
    "stats": "counts of 50 videos",
}
"""The kinds of calls that YouTube charges to each bucket of the quota."""


def quota_table(balances: Sequence["Balance"], title: str) -> Table:
    """Return a table with a row for each bucket. The table shows the daily limit, the calls spent today and the calls
    left today.
    """
    built = table("bucket", "calls", "a day", "spent", "left", words=("bucket", "calls"), title=title)
    for balance in balances:
        left = "0 (YouTube reports it as spent)" if balance.exhausted else f"{balance.left:,}"
        built.add_row(balance.bucket, _CALLS[balance.bucket], f"{balance.limit:,}", f"{balance.spent:,}", left)
    return built


def plan_table(plan: "Plan") -> Table:
    """Return a table with a row for each niche.

    The table shows how many channels the crawl has found, must still find, and must still walk. To walk a channel is to
    read its list of uploads. The table also shows how many videos are listed and expected, and the searches and quota
    units that the crawl will cost.
    """
    title = f"The crawl, at {plan.videos_per_channel:.0f} videos a channel"
    columns = ("niche", "found", "to find", "to walk", "listed", "expected", "searches", "units")
    built = table(*columns, words=("niche",), title=title)
    for row in plan.niches:
        numbers = (
            row.channels_found,
            row.channels_to_find,
            row.channels_to_walk,
            row.videos_listed,
            row.videos_expected,
            row.searches,
            row.units,
        )
        built.add_row(row.niche, *(f"{number:,}" for number in numbers))
    built.add_section()
    expected = sum(row.videos_expected for row in plan.niches)
    built.add_row("all", *[""] * 4, f"{expected:,}", f"{plan.searches:,}", f"{plan.units:,}")
    return built


def crawl_table(counted: Mapping[str, "Counted"]) -> Table:
    """Return a table with a row for each niche.

    The table shows how many channels and videos are kept, left out or waiting.
    """
    columns = ("niche", "channels", "left out", "to check", "to walk", "videos", "kept", "waiting")
    built = table(*columns, words=("niche",), title="The crawl")
    for niche, state in counted.items():
        numbers = (
            state.channels,
            sum(state.channels_excluded.values()),
            state.channels_to_check,
            state.channels_to_walk,
            sum(state.videos.values()),
            state.kept,
            state.videos_waiting,
        )
        built.add_row(niche, *(f"{number:,}" for number in numbers))
    return built


def reasons_table(counted: Mapping[str, "Counted"]) -> Table:
    """Return a table of the reasons why channels and videos were left out. The counts are for all niches together."""
    from thumblab_pipelines.collection.crawl_rules import KEPT

    built = table("what", "why", "how many", words=("what", "why"), title="Left out")
    channels: Counter[str] = Counter()
    videos: Counter[str] = Counter()
    for state in counted.values():
        channels.update(state.channels_excluded)
        videos.update({reason: number for reason, number in state.videos.items() if reason != KEPT})
    for what, reasons in (("channels", channels), ("videos", videos)):
        for reason, number in reasons.most_common():
            built.add_row(what, reason, f"{number:,}")
    return built
