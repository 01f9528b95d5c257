"""How a channel's owner lets the lab read the channel's own figures: an `authorized_user` file with a refresh token."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from thumblab_core.errors import LabError
from thumblab_core.settings import Settings

GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - where tokens are got, no token
_LARGEST_FILE = 64 * 2**10
_GUIDE = "docs/own-channel.md says how to make one"


@dataclass(frozen=True)
class OwnerCredentials:
    """What a sign-in of the owner left. The two secrets are kept out of its `repr`."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    token_uri: str = GOOGLE_TOKEN_URI

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those that `THUMBLAB_YOUTUBE_OWNER_CREDENTIALS` names.

        With `THUMBLAB_YOUTUBE_ENDPOINT` set, tokens come from there whatever the file says. Raises `LabError`, whose message
        holds nothing of what is in the file.
        """
        path = settings.youtube_owner_credentials
        if path is None:
            raise LabError(
                "no sign-in of the channel's owner is set; put THUMBLAB_YOUTUBE_OWNER_CREDENTIALS=FILE into .env "
                f"({_GUIDE}), or import an export of YouTube Studio with `thumblab import-studio`"
            )
        fields = _read(path)
        token_uri = fields.get("token_uri", GOOGLE_TOKEN_URI)
        if settings.youtube_endpoint:
            token_uri = settings.youtube_endpoint.rstrip("/") + "/token"
        elif urlsplit(token_uri).scheme != "https":
            raise LabError(f"token_uri in {path} is no https:// address; leave it out, then Google's own is used")
        return cls(fields["client_id"], fields["client_secret"], fields["refresh_token"], token_uri)

    def redact(self, text: str, *more: str | None) -> str:
        """The text without the secrets, and without `more` of them."""
        for secret in (self.client_secret, self.refresh_token, *more):
            if secret:
                text = text.replace(secret, "[secret]")
        return text


def _read(path: Path) -> dict[str, str]:
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise LabError(
            f"THUMBLAB_YOUTUBE_OWNER_CREDENTIALS names {path}, which cannot be read ({error.strerror}); {_GUIDE}"
        ) from None
    try:
        found = json.loads(data) if len(data) <= _LARGEST_FILE else None
    except (ValueError, RecursionError):  # `from None`: the error would quote the file
        found = None
    if not isinstance(found, dict):
        raise LabError(f"{path} is no JSON file of a sign-in; {_GUIDE}") from None
    if "installed" in found or "web" in found:
        raise LabError(f"{path} is an OAuth client, with which nobody has signed in yet; {_GUIDE}")
    kind = found.get("type", "authorized_user")  # google-auth itself writes such files without their type
    if kind == "service_account":
        raise LabError(f"{path} is a service account, which YouTube does not let in; the owner signs in: {_GUIDE}")
    if kind != "authorized_user":
        raise LabError(f"{path} is of another type than authorized_user; {_GUIDE}")
    needed = ("client_id", "client_secret", "refresh_token")
    missing = [name for name in needed if not isinstance(found.get(name), str) or not found[name].strip()]
    if missing:
        raise LabError(f"{path} lacks {', '.join(missing)}; {_GUIDE}")
    return {name: found[name] for name in (*needed, "token_uri") if isinstance(found.get(name), str) and found[name]}
