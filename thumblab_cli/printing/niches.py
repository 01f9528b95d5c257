"""Print the niches of the lab, and a proposal for a niche."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thumblab_cli.printing.printable import cell
from thumblab_cli.printing.tables import table
from thumblab_cli.which_lab import here
from thumblab_core.given_text import CHANNEL_ID

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from thumblab_core.niches.propose import Proposal


def niches_table(niches: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table with a row for each niche."""
    words = ("niche", "category", "searches", "channels", "state")
    made = table(
        "niche", "videos", "category", "searches", "channels", "searches/day", "units/day", "state", words=words
    )
    for niche in niches:
        made.add_row(
            niche["name"],
            f"{niche['videos']:,}",
            str(niche["category_id"] or ""),
            cell(", ".join(niche["searches"])),
            cell(", ".join(niche["channels"])),
            str(niche["searches_a_day"]),
            str(niche["units_a_day"]),
            "collected" if niche["retired_at"] is None else f"retired {niche['retired_at'][:10]}",
        )
    return made


def print_proposal(console: Console, proposal: Proposal) -> None:
    """Print the nearest channels, the searches, the cost and the preview of a proposal."""
    near = table("channel", "title", "videos", "similarity", words=("channel", "title"))
    for channel in proposal.channels:
        near.add_row(cell(channel.channel_id), cell(channel.title), f"{channel.videos:,}", f"{channel.similarity:.2f}")
    console.print(near)

    def line(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    line(f"Searches: {', '.join(proposal.searches) or 'no text is frequent enough in the titles'}")
    cost = proposal.cost
    line(f"Cost of a refresh: at most {cost.searches} searches and {cost.units} units a day")
    stored = ", ".join(f"{count:,} in {niche}" for niche, count in proposal.preview.items()) or "none"
    line(
        f"Stored videos that are of these channels, or have one of the searches in the title: {stored}. These videos "
        "stay in their present niches. A new niche gets only videos that are not stored yet."
    )
    options = [f'--search "{search}"' for search in proposal.searches]
    options += [
        f"--channel {channel.channel_id}" for channel in proposal.channels if CHANNEL_ID.fullmatch(channel.channel_id)
    ]
    line(f"To add this niche: {here('niche add NAME ' + ' '.join(options))}")
