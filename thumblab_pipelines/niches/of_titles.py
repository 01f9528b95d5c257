"""Propose a niche of the lab for a new channel, from the titles of its videos. Nothing is stored."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from psycopg.errors import QueryCanceled
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from thumblab_core.channel_imports.report import ProposedNiche
from thumblab_core.encoders.load import title_encoder
from thumblab_core.encoders.protocol import unit
from thumblab_core.errors import LabError
from thumblab_core.niches import Niche
from thumblab_core.niches.propose import LEAST_SIMILARITY, suggested_searches
from thumblab_core.niches.store import all_niches
from thumblab_pipelines.lab import Lab

_MOST_TITLES = 100
"""At most this number of the channel's titles is used to propose a niche. The newest titles are used."""

_NEAREST = 5
"""The number of channels of the lab that vote for a niche."""

_HALF = 0.5
"""A niche that is proposed has more than this share of the votes."""

_LEAST_WITH_WORD = 0.2
"""A niche is proposed because of its search texts only if at least this share of the titles contains one of these
texts."""

_MOST_VIDEOS = 20_000
"""The titles of at most this many videos of the lab are read. The videos are chosen by the hash of their ids."""

_STATEMENT_MS = 15_000
"""The time limit of each SQL statement, in milliseconds."""

_CHANNELS = text("""
WITH drawn AS (SELECT video_id, channel_id, niche FROM videos WHERE niche = ANY(CAST(:niches AS varchar[]))
               ORDER BY md5(video_id) LIMIT :most)
SELECT mode() WITHIN GROUP (ORDER BY v.niche) AS niche, avg(e.vector)::real[] AS mean
FROM drawn v JOIN embeddings e ON e.video_id = v.video_id AND e.encoder = :encoder
GROUP BY v.channel_id ORDER BY v.channel_id
""")
_TITLES = text("SELECT title FROM videos ORDER BY md5(video_id) LIMIT :most")


def propose_niche(lab: Lab, titles: Sequence[str]) -> ProposedNiche:
    """Propose the niche that a channel belongs to. `titles`: the titles of the channel's videos, the newest first.

    The lab's `_NEAREST` channels with the most similar titles vote for their niches. The weight of a vote is the cosine
    of the mean title vectors. If no niche has more than half of the votes, the niche whose search texts are in the most
    titles is proposed. The proposal names no niche if less than 20 % of the titles contain such a text, or if the
    database takes too long.
    """
    titles = titles[:_MOST_TITLES]
    try:
        with lab.engine.connect() as connection:
            connection.execute(text(f"SET LOCAL statement_timeout = {_STATEMENT_MS}"))
            return _proposal(lab, connection, titles)
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        reason = (
            f"The lab cannot propose a niche, because its database took more than {_STATEMENT_MS / 1000:g} seconds."
        )
        return ProposedNiche(niche=None, reason=reason, searches=[])


def _proposal(lab: Lab, connection: Connection, titles: Sequence[str]) -> ProposedNiche:
    niches, problem = all_niches(connection), ""
    try:
        proposed, why_not = _by_channels(lab, connection, niches, titles)
    except (LabError, OSError) as error:
        proposed, problem = None, f"titles cannot be compared: {error}"
        why_not = f"The lab cannot propose a niche, because {problem}."
    if proposed is None and (searched := _by_searches(niches, titles)) is not None:
        niche, reason = searched
        proposed = niche, f"{reason}; {problem}." if problem else f"{reason}."
    others = list(connection.scalars(_TITLES, {"most": _MOST_VIDEOS}))
    # Without other titles, the most frequent words would be words that every topic has.
    searches = suggested_searches(titles, others) if others else []
    if proposed is None:
        return ProposedNiche(niche=None, reason=why_not, searches=searches)
    return ProposedNiche(niche=proposed[0], reason=proposed[1], searches=searches)


def _by_channels(
    lab: Lab, connection: Connection, niches: Sequence[Niche], titles: Sequence[str]
) -> tuple[tuple[str, str] | None, str]:
    """Return the niche of the nearest channels with the reason, or None. Also return why no niche was found.

    Raises `LabError` or `OSError` if the title encoder cannot be loaded.
    """
    encoder = title_encoder(lab.settings.title_encoder)
    query = {"encoder": encoder.fingerprint, "niches": [niche.name for niche in niches], "most": _MOST_VIDEOS}
    rows = connection.execute(_CHANNELS, query).all()
    if not rows:
        return None, "The lab cannot propose a niche, because it has no titles that its title encoder has read."
    mean = encoder.encode_texts(list(titles)).mean(axis=0, keepdims=True)
    cosines = unit(np.array([row.mean for row in rows], np.float32)) @ unit(mean)[0]
    return _vote([row.niche for row in rows], cosines), "No niche of the lab has channels with titles like these."


def _vote(niches: Sequence[str], cosines: npt.NDArray[np.float32]) -> tuple[str, str] | None:
    nearest = [row for row in np.argsort(-cosines)[:_NEAREST] if cosines[row] >= LEAST_SIMILARITY]
    votes: dict[str, float] = defaultdict(float)
    for row in nearest:
        votes[niches[row]] += float(cosines[row])
    if not nearest:
        return None
    niche, weight = max(votes.items(), key=lambda vote: vote[1])
    if weight <= _HALF * sum(votes.values()):
        return None
    count = sum(niches[row] == niche for row in nearest)
    if len(nearest) == 1:
        return niche, f"The titles are like those of one channel of the lab, which is in {niche}."
    are = "is" if count == 1 else "are"
    return niche, f"Of the {len(nearest)} channels of the lab with the most similar titles, {count} {are} in {niche}."


def _by_searches(niches: Sequence[Niche], titles: Sequence[str]) -> tuple[str, str] | None:
    """Return the niche whose search texts are in the most titles. Also return the reason as a clause.

    Return None if too few titles contain a search text, or if the texts of two niches are in equally many titles.
    """
    counts = Counter({niche.name: _with_search(niche, titles) for niche in niches})
    (niche, count), (_, second) = [*counts.most_common(2), ("", 0), ("", 0)][:2]
    if count < max(2, _LEAST_WITH_WORD * len(titles)) or count == second:
        return None
    return niche, f"{count} of {len(titles)} titles have a text that the niche {niche} searches for"


def _with_search(niche: Niche, titles: Sequence[str]) -> int:
    """Return how many titles contain one of the niche's search texts. A text inside a longer word does not count."""
    searches = [re.compile(rf"(?<!\w){re.escape(search.casefold())}(?!\w)") for search in niche.searches]
    return sum(any(search.search(title.casefold()) for search in searches) for title in titles)
