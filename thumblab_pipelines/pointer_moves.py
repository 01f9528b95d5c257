"""Find out which pointers a piece of work moved: which niches, and whether the model, are served by another release."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from thumblab_core.niches import NICHES
from thumblab_core.releases.release import ALL, INDEX, MODEL
from thumblab_pipelines.lab import Lab


@dataclass(frozen=True)
class Move:
    """A pointer that was moved from the release `before` to `after`. Each may be None: nothing was, or is, served.

    `asset` is the name of the asset whose pointer it is, and `niche` its partition, or None for the model.
    """

    asset: str
    niche: str | None
    before: str | None
    after: str | None


@contextmanager
def pointer_moves(lab: Lab) -> Iterator[list[Move]]:
    """Yield a list. After the `with` block, it has the pointers that were moved in the block, also if the block failed.

    A pointer that another process moved meanwhile is among them.
    """
    moves: list[Move] = []
    before = _served(lab)
    try:
        yield moves
    finally:
        moves += [
            Move("served_model" if kind == MODEL else "served_index", None if scope == ALL else scope, was, now)
            for (kind, scope), now in _served(lab).items()
            if (was := before[kind, scope]) != now
        ]


def _served(lab: Lab) -> dict[tuple[str, str], str | None]:
    scopes = [(MODEL, ALL), *((INDEX, niche) for niche in NICHES)]
    return {scope: lab.releases.serving.current_id(*scope) for scope in scopes}
