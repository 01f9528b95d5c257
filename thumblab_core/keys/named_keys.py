"""Keep named API keys in the file `api-keys.json` of the data folder. Each key has scopes, and may have a rate limit.

The file stores the SHA-256 of each key, and not the key itself. A slow hash such as scrypt protects passwords, which
people choose and other people can guess. The lab's keys are 256 random bits, so nobody can find a key by hashing
guesses, however fast the hash is. A slow hash would only make each request slower.
"""

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Literal, Self, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from thumblab_core.durable_files import give_to_owner, replace_private_file
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings

Scope = Literal["score", "admin"]
"""What a key allows. `score`: rank candidates, read the lab's data, and store experiments. `admin`: change what the lab
serves.
"""

SCOPES: tuple[Scope, ...] = get_args(Scope)

OWN_KEY = "default"
"""The name of the lab's own key (`thumblab_core.keys.generated_key`) in lists, logs and metrics. This key has all
scopes.
"""

PREFIX = "thumblab_"
"""The start of each named key. Programs that search files for secrets can find the keys by this text."""

MOST_KEYS = 1_000
MOST_PER_MINUTE = 1_000_000

_FILE = "api-keys.json"
_LOCK = "api-keys.lock"
_NAME = r"[a-z0-9][a-z0-9._-]{0,39}"
_MOST_BYTES = 2**20


class NamedKey(BaseModel):
    """What the lab stores about a named key. The key itself is not stored.

    `id` stays the same when the key is rotated. If a key is revoked and its name is used again, the new key gets
    another id. Keys that an older version of the lab made have no id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=f"^{_NAME}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    made_at: AwareDatetime
    requests_per_minute: Annotated[int, Field(ge=1, le=MOST_PER_MINUTE)] | None = None
    id: Annotated[str, StringConstraints(pattern="^[0-9a-f]{16}$")] | None = None

    @property
    def owner(self) -> str:
        """The text that the lab stores as the owner of batches and channels of this key. It is the name, followed by
        the id if the key has an id.
        """
        return self.name if self.id is None else f"{self.name}#{self.id}"


def name_of_key(owner: str) -> str:
    """Return the name of the key in the text `owner`, which comes from `NamedKey.owner`. Also works if the key was
    revoked.
    """
    return owner.split("#")[0]


class _Content(BaseModel):
    """The content of the file `api-keys.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    keys: Annotated[tuple[NamedKey, ...], Field(max_length=MOST_KEYS)] = ()

    @model_validator(mode="after")
    def _no_two_keys_share_a_name(self) -> Self:
        names = [key.name for key in self.keys]
        if len({OWN_KEY, *names}) != len(names) + 1:
            raise ValueError(f"two keys have the same name, or a key has the name {OWN_KEY}")
        return self


class NamedKeys:
    """The named keys of a lab. Readers never wait. Writers wait for each other, also in other processes."""

    def __init__(self, settings: Settings) -> None:
        self.path = settings.data_dir / _FILE

    def all(self) -> tuple[NamedKey, ...]:
        """Return the keys, the oldest first. Raises LabError if the file cannot be read or is damaged."""
        try:
            with self.path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise LabError(
                f"the file of the named keys, {self.path}, cannot be read ({error.strerror}); make it readable"
            ) from None
        try:
            return _Content.model_validate_json(content[:_MOST_BYTES]).keys
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            # `from None` hides the ValidationError, because it shows the content of the file.
            raise LabError(
                f"the file of the named keys, {self.path}, is damaged ({place}: {first['msg']}); repair it, or delete it "
                "and make the keys again"
            ) from None

    def add(self, name: str, scopes: Collection[Scope], requests_per_minute: int | None = None) -> str:
        """Make a key and return it. The key cannot be shown again, because the file stores only its hash.

        Raises LabError if the name cannot be used or is taken.
        """
        _check_name(name)
        key = _new_key()
        made = NamedKey(
            name=name,
            scopes=tuple(scope for scope in SCOPES if scope in scopes),
            sha256=digest(key).hex(),
            made_at=_now(),
            requests_per_minute=requests_per_minute,
            id=secrets.token_hex(8),
        )

        def changed(keys: Sequence[NamedKey]) -> list[NamedKey]:
            if any(key.name == name for key in keys):
                raise LabError(
                    f"there is a key named {name} already; choose another name, or replace that key with `thumblab key "
                    f"rotate {name}`"
                )
            if len(keys) == MOST_KEYS:
                raise LabError(f"a lab has at most {MOST_KEYS:,} named keys; revoke a key that nobody uses")
            return [*keys, made]

        self._change(changed)
        return key

    def rotate(self, name: str) -> str:
        """Replace a key by a new one with the same name, scopes and rate limit, and return the new key.

        The old key stops working immediately.
        """
        key = _new_key()
        changes = {"sha256": digest(key).hex(), "made_at": _now()}

        def changed(keys: Sequence[NamedKey]) -> list[NamedKey]:
            _require(name, keys)
            return [kept.model_copy(update=changes) if kept.name == name else kept for kept in keys]

        self._change(changed)
        return key

    def revoke(self, name: str) -> None:
        """Remove a key. Raises LabError if there is no key of this name."""

        def changed(keys: Sequence[NamedKey]) -> list[NamedKey]:
            _require(name, keys)
            return [kept for kept in keys if kept.name != name]

        self._change(changed)

    def _change(self, changed: Callable[[Sequence[NamedKey]], list[NamedKey]]) -> None:
        with self._writing():
            content = _Content(keys=tuple(changed(self.all())))
            replace_private_file(self.path, content.model_dump_json(indent=2) + "\n")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(self.path.with_name(_LOCK), os.O_RDWR | os.O_CREAT, 0o600)) as lock:  # noqa: PTH123 - the mode must be 0600 from the start
                give_to_owner(lock.fileno(), self.path.parent)
                fcntl.flock(lock, fcntl.LOCK_EX)  # The kernel releases the lock, even if the process is killed.
                yield
        except OSError as error:
            raise LabError(
                f"the file of the named keys, {self.path}, cannot be written ({error.strerror}); nothing was changed. "
                "Make room, or make the folder writable"
            ) from None


def digest(key: str) -> bytes:
    """Return the SHA-256 of a key."""
    # A key in a setting may have bytes that are not UTF-8. Python keeps such bytes as surrogates.
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


def _new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _check_name(name: str) -> None:
    if name == OWN_KEY:
        raise LabError(f"{OWN_KEY} is the name of the lab's own key, which `thumblab key` prints; choose another name")
    if not re.fullmatch(_NAME, name):
        raise LabError(
            f"a key cannot have the name {name[:40]!r}; write at most 40 small letters, digits, dots, hyphens and "
            "underscores, and begin with a letter or a digit"
        )


def _require(name: str, keys: Sequence[NamedKey]) -> None:
    if not any(key.name == name for key in keys):
        known = ", ".join(key.name for key in keys[:20]) or "none yet"
        raise LabError(f"there is no key named {name[:40]!r}; the named keys are: {known}")
