"""What `thumblab quota` and `thumblab crawl` print."""

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


def quota_table(balances: Sequence["Balance"], title: str) -> Table:
    """A row per bucket: what its calls are, the limit of a day, what is spent and what is left."""
    made = table("bucket", "calls", "a day", "spent", "left", words=("bucket", "calls"), title=title)
    for balance in balances:
        left = "0 (YouTube says so)" if balance.exhausted else f"{balance.left:,}"
        made.add_row(balance.bucket, _CALLS[balance.bucket], f"{balance.limit:,}", f"{balance.spent:,}", left)
    return made


def plan_table(plan: "Plan") -> Table:
    """A row per niche: channels found, to find and to walk; videos listed and expected in the end; and what it costs."""
    title = f"The crawl, at {plan.videos_per_channel:.0f} videos a channel"
    columns = ("niche", "found", "to find", "to walk", "listed", "expected", "searches", "units")
    made = table(*columns, words=("niche",), title=title)
    for row in plan.niches:
        made.add_row(
            row.niche,
            *(
                f"{number:,}"
                for number in (
                    row.channels_found,
                    row.channels_to_find,
                    row.channels_to_walk,
                    row.videos_listed,
                    row.videos_expected,
                    row.searches,
                    row.units,
                )
            ),
        )
    made.add_section()
    made.add_row("all", *[""] * 4, f"{sum(row.videos_expected for row in plan.niches):,}", *_totals(plan))
    return made


def _totals(plan: "Plan") -> tuple[str, str]:
    return f"{plan.searches:,}", f"{plan.units:,}"


def crawl_table(counted: Mapping[str, "Counted"]) -> Table:
    """A row per niche: how far it is."""
    columns = ("niche", "channels", "left out", "to check", "to walk", "videos", "kept", "waiting")
    made = table(*columns, words=("niche",), title="The crawl")
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
        made.add_row(niche, *(f"{number:,}" for number in numbers))
    return made


def reasons_table(counted: Mapping[str, "Counted"]) -> Table:
    """Why channels and videos were left out, over all the niches shown."""
    from thumblab_pipelines.collection.crawl_rules import KEPT

    made = table("what", "why", "how many", words=("what", "why"), title="Left out")
    channels: Counter[str] = Counter()
    videos: Counter[str] = Counter()
    for state in counted.values():
        channels.update(state.channels_excluded)
        videos.update({reason: number for reason, number in state.videos.items() if reason != KEPT})
    for what, reasons in (("channels", channels), ("videos", videos)):
        for reason, number in reasons.most_common():
            made.add_row(what, reason, f"{number:,}")
    return made
