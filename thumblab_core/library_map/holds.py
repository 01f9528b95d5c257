"""List the indices and the maps that a person holds after a rollback, so that no newer release is served."""

from collections.abc import Iterable
from dataclasses import dataclass

from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.releases.release import ALL, INDEX
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.releases.scope import Hold


@dataclass(frozen=True)
class HeldRelease:
    """An index or a map that is held. `kind` is INDEX or LIBRARY_MAP."""

    kind: str
    scope: str
    hold: Hold

    def __str__(self) -> str:
        what = "index" if self.kind == INDEX else "map"
        return f"the {what} of {self.scope} is held, so no newer {what} is served: {self.hold}"

    @property
    def ends(self) -> str | None:
        """The subcommand that ends the hold. None for a map, because only a job of Dagster ends its hold."""
        return f"index resume {self.scope}" if self.kind == INDEX else None


END_OF_MAP_HOLD = "launch the job roll_back_map in Dagster with resume: true"
"""How a person ends the hold of a map."""


def held_releases(store: ReleaseStore, niches: Iterable[str]) -> list[HeldRelease]:
    """Return the held indices and maps of the niches, and the held map of all niches. Only small files are read."""
    names = list(niches)
    scopes = [(INDEX, name) for name in names] + [(LIBRARY_MAP, name) for name in (*names, ALL)]
    holds = ((kind, scope, store.serving.held(kind, scope)) for kind, scope in scopes)
    return [HeldRelease(kind, scope, hold) for kind, scope, hold in holds if hold is not None]
