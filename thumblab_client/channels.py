"""Build the requests that add a channel from its exports, show the import, and list the added channels."""

import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from thumblab_client.errors import ExportError, StillRunningError, ThumblabError
from thumblab_client.models.channels import ChannelImportOut, ChannelsOut
from thumblab_client.requests import Call, known

MOST_EXPORTS = 20
MOST_BYTES = 32 * 2**20
"""The service accepts at most `MOST_EXPORTS` files in one import, with at most `MOST_BYTES` bytes together."""

ExportLike = str | os.PathLike[str] | tuple[str, bytes]
"""An export: the path of a file, or its name and its bytes. The service may take the title of the channel from the name
of the file.
"""

_ID = re.compile(r"[0-9a-f]{32}")


def add(
    exports: Iterable[ExportLike],
    name: str | None = None,
    niche: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Call[ChannelImportOut]:
    """Return the request that imports exports of one channel. Raises `ExportError` if a file cannot be read."""
    if isinstance(exports, str | os.PathLike):
        raise ExportError("give a list of exports, not one export")
    given = list(exports)
    if not 1 <= len(given) <= MOST_EXPORTS:
        raise ExportError(f"give 1 to {MOST_EXPORTS} exports, not {len(given)}")
    files = [_file(export) for export in given]
    size = sum(len(data) for _, data in files)
    if size > MOST_BYTES:
        raise ExportError(
            f"the exports have {size / 2**20:.0f} MiB; the service takes {MOST_BYTES // 2**20} MiB at once"
        )
    fields = known(name=name, niche=niche, columns=json.dumps(dict(columns)) if columns else None)
    sent = [("exports", (name, data, "application/octet-stream")) for name, data in files]
    return Call("POST", "/v1/channels", ChannelImportOut, {"data": fields, "files": sent})


def show(import_id: str) -> Call[ChannelImportOut]:
    """Return the request for the progress of an import."""
    if not _ID.fullmatch(import_id):
        raise ThumblabError(
            f"{import_id!r} is not the id of an import; use the `id` that the service gave when the import was started"
        )
    return Call("GET", f"/v1/channels/runs/{import_id}", ChannelImportOut)


def added() -> Call[ChannelsOut]:
    """Return the request for the channels that were added to the lab."""
    return Call("GET", "/v1/channels", ChannelsOut)


def has_ended(channel: ChannelImportOut) -> bool:
    """Return whether an import is done or has failed."""
    return channel.state in ("done", "failed")


def still_running(channel: ChannelImportOut, seconds: float) -> StillRunningError:
    """Return the error for an import that has not ended in time."""
    step = (
        f" ({channel.steps[-1].name}: {channel.steps[-1].done} of {channel.steps[-1].total})" if channel.steps else ""
    )
    return StillRunningError(f"the import {channel.id} is {channel.state}{step} after {seconds:g} s")


def _file(export: ExportLike) -> tuple[str, bytes]:
    if isinstance(export, tuple):
        return export
    try:
        path = Path(export)
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and found.st_size <= MOST_BYTES:
            return path.name, path.read_bytes()
    except OSError as error:
        raise ExportError(f"{export}: the file cannot be read ({error.strerror})") from None
    except (TypeError, ValueError) as error:  # For example, a path with a null character raises ValueError.
        raise ExportError(f"{export!r:.100}: this is not a path ({error})") from None
    if stat.S_ISREG(found.st_mode):
        raise ExportError(f"{path}: the file is larger than {MOST_BYTES // 2**20} MiB, the most that the service takes")
    raise ExportError(f"{path}: this is not a file; give the path of an export")
