"""Channels that somebody names for the crawl, beside those that searches find."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from thumblab_core.errors import LabError
from thumblab_pipelines.collection import crawl_state
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.client import YouTube

_CHANNEL_ID = re.compile(r"(?<![\w-])UC[\w-]{22}(?![\w-])", re.ASCII)
_HANDLE = re.compile(r"@[\w.·-]{3,30}")


@dataclass(frozen=True)
class Added:
    """Channels that were put on the list by name: those that are new to it, and the names that no channel has."""

    new: int
    unknown: list[str]


def add_channels(lab: Lab, niche: str, names: Sequence[str]) -> Added:
    """Put channels on the list of a niche: ids (`UC...`), their URLs, or handles (`@name`, a unit each to look up).

    Raises `LabError` for a name of no such form, before anything is stored or asked.
    """
    ids, handles = [], []
    for name in names:
        if found := _CHANNEL_ID.search(name):
            ids.append(found[0])
        elif found := _HANDLE.search(name):
            handles.append(found[0])
        else:
            raise LabError(f"{name!r} is no channel: give its id (UC and 22 characters), its URL, or its @handle")
    unknown: list[str] = []
    known = dict.fromkeys(ids, "(not looked at yet)")
    now = datetime.now(UTC)
    if handles:
        with YouTube.connect(lab.settings, lab.engine) as youtube:
            now = youtube.now
            for handle in handles:
                record = youtube.channel_of(handle)
                if record is None:
                    unknown.append(handle)
                else:
                    known[record.channel_id] = record.title
    with lab.engine.begin() as connection:
        new = crawl_state.add(connection, niche, known, now)
        crawl_state.readmit(connection, list(known))
        return Added(new, unknown)
