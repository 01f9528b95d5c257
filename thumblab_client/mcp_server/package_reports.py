"""The answer of the tool `packages`, which scores each title together with each thumbnail."""

from dataclasses import dataclass

from thumblab_client.errors import ThumblabError
from thumblab_client.mcp_server.reports import meaning
from thumblab_client.models.answer import ScoreAnswer


@dataclass(frozen=True)
class Package:
    """A title with a thumbnail. `margin` is the probability that the best package beats this package."""

    title: str
    thumbnail: str
    rank: int | None
    score: float | None
    win_probability: float | None
    margin: float | None


@dataclass(frozen=True)
class UnderTitle:
    """The best thumbnail under one title. `winner` is null if no thumbnail wins, and `meaning` says why."""

    title: str
    winner: str | None
    meaning: str
    confidence: float | None


@dataclass(frozen=True)
class PackageRanking:
    """The packages, and the best thumbnail under each title. `errors` has the thumbnails that could not be read."""

    niche: str
    verdict: str | None
    meaning: str
    best_title: str | None
    best_thumbnail: str | None
    confidence: float | None
    skill: str | None
    packages: list[Package]
    under_titles: list[UnderTitle]
    errors: dict[str, str]
    adapted_to_channel: bool
    channel_note: str | None
    degraded: list[str]
    model_release: str


def package_ranking(answer: ScoreAnswer) -> PackageRanking:
    """Return what an assistant needs from an answer to several titles. Raises `ThumblabError` if the answer ranks no
    packages.
    """
    packages, channel = answer.packages, answer.channel
    errors = {thumbnail.id: thumbnail.error for thumbnail in answer.thumbnails if thumbnail.error is not None}
    if packages is None:
        raise ThumblabError("; ".join(f"{id_}: {error}" for id_, error in errors.items()) or "no package was compared")
    return PackageRanking(
        niche=answer.niche,
        verdict=packages.verdict,
        meaning=meaning(packages.verdict),
        best_title=packages.best_title,
        best_thumbnail=packages.best_thumbnail,
        confidence=packages.confidence,
        skill=None if packages.skill is None else packages.skill.summary,
        packages=[Package(p.title, p.thumbnail, p.rank, p.score, p.win_probability, p.margin) for p in packages.grid],
        under_titles=[
            UnderTitle(under.title, under.winner, meaning(under.verdict), under.confidence)
            for under in packages.under_titles
        ],
        errors=errors,
        adapted_to_channel=channel is not None and channel.adapted,
        channel_note=None if channel is None else channel.reason,
        degraded=answer.degraded,
        model_release=answer.releases.model,
    )
