"""Add channels to the crawl of a niche. A person names these channels by id, URL or handle.

The crawl finds all other channels by searches, or takes them from the videos of the library.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from thumblab_core.database.channels import find_channel, near_title
from thumblab_core.errors import LabError
from thumblab_core.given_text import channel_name
from thumblab_pipelines.collection import crawl_channels
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube.client import YouTube

_CHANNEL_ID = re.compile(r"(?<![\w-])UC[\w-]{22}(?![\w-])", re.ASCII)
_HANDLE = re.compile(r"@[\w.·-]{3,30}")

_UNCHECKED_TITLE = "(not looked at yet)"
"""Title of a channel that is known only by its id, until the crawl checks the channel."""


@dataclass(frozen=True)
class Added:
    """The number of named channels that are new to the crawl, and the handles that YouTube does not know."""

    new: int
    unknown: list[str]


def add_channels(lab: Lab, niche: str, names: Sequence[str]) -> Added:
    """Add channels to the crawl of a niche. A name is a channel's id (`UC...`), its link, its handle (`@name`), or the exact
    title of a channel that the lab knows.

    A handle costs one unit of quota. Raises `LabError` if a name has none of these forms. After this error, none of the
    channels is added, and YouTube is not asked.
    """
    ids, handles = [], []
    for name in names:
        if match := _CHANNEL_ID.search(name):
            ids.append(match[0])
        elif match := _HANDLE.search(name):
            handles.append(match[0])
        else:
            ids.append(_known_id(lab, name))
    unknown: list[str] = []
    titles = dict.fromkeys(ids, _UNCHECKED_TITLE)
    now = datetime.now(UTC)
    if handles:
        with YouTube.connect(lab.settings, lab.engine) as youtube:
            now = youtube.now
            for handle in handles:
                record = youtube.channel_of(handle)
                if record is None:
                    unknown.append(handle)
                else:
                    titles[record.channel_id] = record.title
    with lab.engine.begin() as connection:
        new = crawl_channels.add(connection, niche, titles, now)
        crawl_channels.readmit(connection, list(titles))
        return Added(new, unknown)


def _known_id(lab: Lab, title: str) -> str:
    title = channel_name(title)
    with lab.engine.connect() as connection:
        channel = find_channel(connection, title)
        near = near_title(connection, title)
    if channel is None or not _CHANNEL_ID.fullmatch(channel.channel_id):
        raise LabError(
            f"{title!r} is not a channel{near}; give its id (UC and 22 characters), its link, its @handle, or the exact "
            "title of a channel that the lab knows"
        )
    return channel.channel_id
