"""The credentials for reading figures that YouTube shows only to the owner of a channel.

The credentials come from a file of the type `authorized_user`, which is made when the channel's owner signs in. The
file has a refresh token, with which the lab requests access tokens.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from thumblab_core.errors import LabError
from thumblab_core.settings import Settings

GOOGLE_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address, not a token
_LARGEST_FILE = 64 * 2**10
_GUIDE = "docs/own-channel.md says how to make the sign-in file"


@dataclass(frozen=True)
class OwnerCredentials:
    """Credentials of a channel's owner. The `repr` of the credentials contains neither the client secret nor the
    refresh token."""

    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(repr=False)
    token_uri: str = GOOGLE_TOKEN_URI

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read the file whose path is in `THUMBLAB_YOUTUBE_OWNER_CREDENTIALS`.

        If `THUMBLAB_YOUTUBE_ENDPOINT` is set, tokens come from this endpoint, and the `token_uri` of the file is
        ignored. Raises `LabError` if the file cannot be used. The message never quotes the content of the file.
        """
        path = settings.youtube_owner_credentials
        if path is None:
            raise LabError(
                "the settings name no sign-in file of the channel's owner; put "
                f"THUMBLAB_YOUTUBE_OWNER_CREDENTIALS=FILE into .env ({_GUIDE}), or import an export of YouTube Studio "
                "with `thumblab import-studio`"
            )
        fields = _read(path)
        token_uri = fields.get("token_uri", GOOGLE_TOKEN_URI)
        if settings.youtube_endpoint:
            token_uri = settings.youtube_endpoint.rstrip("/") + "/token"
        elif urlsplit(token_uri).scheme != "https":
            raise LabError(
                f"token_uri in {path} is not an https:// address; remove token_uri from the file to use Google's address"
            )
        return cls(fields["client_id"], fields["client_secret"], fields["refresh_token"], token_uri)

    def redact(self, text: str, *more: str | None) -> str:
        """Return the text with all secrets replaced by `[secret]`. `more`: further secrets to replace."""
        for secret in (self.client_secret, self.refresh_token, *more):
            if secret:
                text = text.replace(secret, "[secret]")
        return text


def _read(path: Path) -> dict[str, str]:
    """Return the fields of the file. Raises `LabError` if the file is not a usable `authorized_user` file."""
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise LabError(
            f"THUMBLAB_YOUTUBE_OWNER_CREDENTIALS is set to {path}, which cannot be read ({error.strerror}); {_GUIDE}"
        ) from None
    try:
        content = json.loads(data) if len(data) <= _LARGEST_FILE else None
    # The error quotes the file, which contains secrets. So the `LabError` below is raised `from None`, which hides the
    # error.
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise LabError(f"{path} is not a JSON file with credentials; {_GUIDE}") from None
    if "installed" in content or "web" in content:
        raise LabError(
            f"{path} is an OAuth client file, but the lab needs the file that a sign-in with this client writes; {_GUIDE}"
        )
    kind = content.get("type", "authorized_user")  # google-auth writes files of this type without the field `type`.
    if kind == "service_account":
        raise LabError(
            f"{path} holds the key of a service account, which YouTube does not accept; the channel's owner must sign in; "
            f"{_GUIDE}"
        )
    if kind != "authorized_user":
        raise LabError(f"{path} does not have the type authorized_user; {_GUIDE}")
    needed = ("client_id", "client_secret", "refresh_token")
    missing = [name for name in needed if not isinstance(content.get(name), str) or not content[name].strip()]
    if missing:
        raise LabError(f"{path} lacks {', '.join(missing)}; {_GUIDE}")
    return {
        name: content[name] for name in (*needed, "token_uri") if isinstance(content.get(name), str) and content[name]
    }
