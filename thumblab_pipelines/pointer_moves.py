"""Find the pointers that a `with` block moves: pointers of the niches' indices, of the library maps, of the model, and of
channel adapters."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from thumblab_core.errors import LabError
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.niches import NicheFile
from thumblab_core.ranking.channel_adapters import ADAPTER, ChannelAdapters
from thumblab_core.releases.release import ALL, INDEX, MODEL
from thumblab_pipelines.lab import Lab


@dataclass(frozen=True)
class Move:
    """A move of a pointer from the release `before` to the release `after`.

    `before` is None if no release was served. `after` is None if no release is served now.

    `asset`: name of the asset that owns the pointer. `niche`: the partition of the asset, or None for the model and the
    map of all niches. A channel adapter belongs to the asset of the model. `channel`: the id of the adapter's channel.
    """

    asset: str
    niche: str | None
    before: str | None
    after: str | None
    channel: str | None = None


@contextmanager
def pointer_moves(lab: Lab) -> Iterator[list[Move]]:
    """Yield a list, which receives the moved pointers at the end of the `with` block, even if the block fails.

    The list may include a pointer that another process moved at the same time.
    """
    moves: list[Move] = []
    before = _served(lab)
    try:
        yield moves
    finally:
        after = _served(lab)
        for scope in before.keys() | after.keys():
            was, now = before.get(scope), after.get(scope)
            if was != now:
                moves.append(_move(*scope, was, now))
        moves.sort(key=lambda move: (move.asset, move.niche or "", move.channel or ""))


def _move(kind: str, scope: str, was: str | None, now: str | None) -> Move:
    if kind == INDEX:
        return Move("served_index", scope, was, now)
    if kind == LIBRARY_MAP:
        return Move("library_map_of_all" if scope == ALL else "library_map", None if scope == ALL else scope, was, now)
    return Move("served_model", None, was, now, channel=scope if kind == ADAPTER else None)


def _served(lab: Lab) -> dict[tuple[str, str], str | None]:
    niches = NicheFile(lab.settings.data_dir).names
    scopes = [(MODEL, ALL), *((INDEX, niche) for niche in niches)]
    scopes += [(LIBRARY_MAP, scope) for scope in (*niches, ALL)]
    served = {scope: lab.releases.serving.current_id(*scope) for scope in scopes}
    adapters = ChannelAdapters(lab.releases)
    for channel_id in adapters.channels():
        with suppress(LabError):  # A damaged adapter is not served, so it has no pointer to compare.
            served[ADAPTER, channel_id] = adapters.current_id(channel_id)
    return served
