"""Propose a niche. A person gives some channels or videos that the lab knows, called the seed. The proposal has similar
channels, searches, the cost in quota and a preview.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, func, or_, select, text

from thumblab_core.database.channels import find_channel, near_title
from thumblab_core.database.tables import videos
from thumblab_core.encoders.load import title_encoder
from thumblab_core.encoders.protocol import unit
from thumblab_core.errors import LabError
from thumblab_core.given_text import channel_name, storable
from thumblab_core.niches import Niche
from thumblab_core.niches.cost import DailyCost, daily_cost
from thumblab_core.settings import Settings

LEAST_SIMILARITY = 0.35
"""A channel counts as near if its mean title vector has at least this cosine to the mean title vector of the seed (the
given channels and videos).
"""

_MOST_SEARCHES, _LEAST_USES, _SHORTEST_WORD = 3, 2, 4
_WORD = re.compile(r"[^\W\d_][\w'’-]*")

_MOST_TITLES = 100_000
"""The largest number of titles of the lab with which the titles of the given channels and videos are compared. If the
lab has more titles, always the same sample is compared.
"""
_TITLES = text("SELECT title FROM videos ORDER BY md5(video_id) LIMIT :most")
_MEANS = text("""
SELECT v.channel_id, h.title, count(*) AS videos, avg(e.vector)::real[] AS mean
FROM embeddings e JOIN videos v USING (video_id) JOIN channels h USING (channel_id)
WHERE e.encoder = :encoder GROUP BY v.channel_id, h.title ORDER BY v.channel_id
""")
_SEED = text("""
SELECT avg(e.vector)::real[] FROM embeddings e JOIN videos v USING (video_id)
WHERE e.encoder = :encoder
  AND (v.channel_id = ANY(CAST(:channels AS varchar[])) OR v.video_id = ANY(CAST(:videos AS varchar[])))
""")


@dataclass(frozen=True)
class NearChannel:
    """A channel of the lab whose titles are similar to the titles of the seed (the given channels and videos).
    `similarity`: the cosine of the mean title vectors of the channel and of the seed, -1 to 1.
    """

    channel_id: str
    title: str
    videos: int
    similarity: float


@dataclass(frozen=True)
class Proposal:
    """A niche that a person could add. It is made from the seed (the given channels and videos) and from the videos of
    the lab.

    `channels`: the nearest channels, the most similar first; the channels of the seed are among them. `searches`: texts
    that are frequent in the titles of the seed and rare in other titles. `cost`: the quota that the niche would need.
    `preview`: for each present niche, how many of its stored videos would also fit the proposed niche. Such a video is
    from one of the channels, or its title contains one of the searches.
    """

    channels: list[NearChannel]
    searches: list[str]
    cost: DailyCost
    preview: dict[str, int]


def propose(
    connection: Connection, settings: Settings, channels: Sequence[str], video_ids: Sequence[str], most: int = 10
) -> Proposal:
    """Propose a niche for topics like those of the given channels and videos (the seed). This function sends no request
    to YouTube, and changes nothing.

    `channels`: ids, @handles, exact titles or links of channels of the lab. `most`: the largest number of proposed channels.
    Raises `LabError` if the lab does not know a channel or a video, or if none of their titles has a vector yet.
    """
    ids = [_channel_id(connection, name) for name in channels]
    _require_videos(connection, video_ids)
    encoder = title_encoder(settings.title_encoder).fingerprint
    seed = {"encoder": encoder, "channels": ids, "videos": list(video_ids)}
    mean = connection.execute(_SEED, seed).scalar()
    if mean is None:
        raise LabError(
            "no title of the given channels and videos has a vector yet; `thumblab refresh` computes the vectors"
        )
    rows = connection.execute(_MEANS, {"encoder": encoder}).all()
    of_seed = select(videos.c.title).where(or_(videos.c.channel_id.in_(ids), videos.c.video_id.in_(video_ids)))
    titles, others = list(connection.scalars(of_seed)), connection.scalars(_TITLES, {"most": _MOST_TITLES})
    cosines = unit(np.array([row.mean for row in rows], np.float32)) @ unit(np.array([mean], np.float32))[0]
    near = [
        NearChannel(row.channel_id, row.title, row.videos, round(float(cosine), 3))
        for row, cosine in zip(rows, cosines, strict=True)
        if cosine >= LEAST_SIMILARITY or row.channel_id in ids
    ]
    near = sorted(near, key=lambda channel: -channel.similarity)[:most]
    searches = suggested_searches(titles, others)
    proposed = Niche("proposed", None, searches=tuple(searches), channels=tuple(channel.channel_id for channel in near))
    return Proposal(near, searches, daily_cost(proposed, settings), _preview(connection, proposed))


def suggested_searches(titles: Sequence[str], others: Iterable[str]) -> list[str]:
    """Return at most three words or pairs of words that are frequent in `titles` and rare in `others`.

    A text must be in at least two titles. The texts are ranked by c^2 / o, the highest first: c is the number of
    `titles` with the text, and o is the number of `others` with the text, but at least 1. So words that are frequent in
    every topic come last. A text that shares a word with a chosen text is not chosen.
    """
    counted = Counter(itertools.chain.from_iterable(map(_texts, titles)))
    candidates = {word for word, uses in counted.items() if uses >= _LEAST_USES}
    overall: Counter[str] = Counter()
    for title in others:
        overall.update(_texts(title) & candidates)
    ranked = sorted(
        candidates,
        key=lambda word: (-(counted[word] ** 2) / max(overall[word], 1), -len(word), word),
    )
    chosen: list[str] = []
    for word in ranked:
        if len(chosen) < _MOST_SEARCHES and not any(set(word.split()) & set(other.split()) for other in chosen):
            chosen.append(word)
    return chosen


def _texts(title: str) -> set[str]:
    """Return the words and the pairs of neighbouring words of a title, in small letters. Short words are left out."""
    words = [word.casefold() for word in _WORD.findall(title)]
    long = {word for word in words if len(word) >= _SHORTEST_WORD}
    return long | {f"{first} {second}" for first, second in itertools.pairwise(words) if {first, second} <= long}


def _channel_id(connection: Connection, given: str) -> str:
    name = channel_name(given)
    channel = find_channel(connection, name)
    if channel is None:
        raise LabError(
            f"the lab has no channel {name[:80]!r}{near_title(connection, name)}; give a channel that the lab knows"
        )
    return channel.channel_id


def _require_videos(connection: Connection, video_ids: Sequence[str]) -> None:
    possible = [video_id for video_id in video_ids if storable(video_id)]
    known = set(connection.scalars(select(videos.c.video_id).where(videos.c.video_id.in_(possible))))
    if unknown := [video_id for video_id in video_ids if video_id not in known]:
        raise LabError(f"the lab has no video {unknown[0][:80]!r}; give videos that the lab knows")


def _preview(connection: Connection, niche: Niche) -> dict[str, int]:
    in_title = [videos.c.title.icontains(search, autoescape=True) for search in niche.searches]
    statement = (
        select(videos.c.niche, func.count())
        .where(or_(videos.c.channel_id.in_(niche.channels), *in_title))
        .group_by(videos.c.niche)
        .order_by(func.count().desc(), videos.c.niche)
    )
    return {str(name): int(count) for name, count in connection.execute(statement)}
