"""The state of a scope in an object store: the pointer, the history, the hold, the counter and the locks.

The state is one small object, `state.json`. A process reads the state, changes it, and replaces the object only if no
other process has replaced it since the read. So no process overwrites the change of another process. All parts of the
state are read and replaced together.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from thumblab_core.releases.release import NewerFormatError, ReleaseError, is_release_id
from thumblab_core.releases.scope import HISTORY_LENGTH, Hold

STATE = "state.json"
"""Name of the object that holds the state of a scope."""
FORMAT = 1


class DamagedStateError(ReleaseError, ValueError):
    """Raised if the state of a scope cannot be understood."""


@dataclass(frozen=True)
class Change:
    """The process that is inside `Serving.changing`. The process increases the counter `beats` while it runs."""

    owner: str
    beats: int = 0


@dataclass(frozen=True)
class ScopeState:
    """The state of a scope.

    `write`: a random text that is new in each version, so that a writer recognises its own version. `pointer`: the id
    of the served release, "" after a withdrawal, or None if nothing was ever promoted. `served`: the last promotions.
    `deleting`: the ids of releases that are being deleted, and that nobody may promote.
    """

    write: str = ""
    number: int = 0
    pointer: str | None = None
    served: tuple[str, ...] = ()
    hold: Hold | None = None
    deleting: tuple[str, ...] = ()
    changing: Change | None = None

    def promoted(self, release_id: str) -> "ScopeState":
        """Return the state after the promotion of a release."""
        return replace(self, pointer=release_id, served=(*self.served, release_id)[-HISTORY_LENGTH:])

    def dump(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode()


def parse_state(content: bytes, where: str) -> ScopeState:
    """Return the state in the object `where`. Raises `DamagedStateError`, or `NewerFormatError` for a newer format."""
    try:
        fields: dict[str, Any] = json.loads(content)
        if fields.pop("format") != FORMAT:
            raise NewerFormatError(f"{where} was written by a newer version of the lab; update the lab")
        hold, changing = fields.pop("hold"), fields.pop("changing")
        state = ScopeState(
            **fields,
            hold=None if hold is None else Hold(**hold),
            changing=None if changing is None else Change(**changing),
        )
        state = replace(state, served=tuple(state.served), deleting=tuple(state.deleting))
        named = [*state.served, *state.deleting, *filter(None, [state.pointer])]
        if not isinstance(state.number, int) or not all(
            isinstance(name, str) and is_release_id(name) for name in named
        ):
            raise ValueError("it names no release")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedStateError(
            f"{where} is damaged ({type(error).__name__}); delete the object, and promote a release again"
        ) from None
    return state
