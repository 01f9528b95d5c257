"""Rank the packages of a request: each of its titles together with each of its pictures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thumblab_core.ranking.skill import ONE_TITLE, PACKAGE
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_serving.loading.encoding import Encoders
from thumblab_serving.schemas.packages import PackageOut, PackagesOut, UnderTitleOut
from thumblab_serving.schemas.request import ScoreForm
from thumblab_serving.schemas.verdict import Verdict
from thumblab_serving.schemas.why import WhyOut
from thumblab_serving.scoring.degraded_sentences import skill
from thumblab_serving.scoring.intake import ExaminedPicture, Source
from thumblab_serving.scoring.proven_skill import has_proven_skill
from thumblab_serving.scoring.rank import EncodedTitle, RankedPicture, Ranking, RankingContext, rank
from thumblab_serving.scoring.why import explain


@dataclass(frozen=True)
class GridTitles:
    """The titles of the packages. `own` maps the id of a picture to its own title. Each picture without a title of its
    own is combined with each title in `shared`.
    """

    shared: Sequence[EncodedTitle]
    own: Mapping[str, EncodedTitle]

    def of(self, picture: str) -> EncodedTitle:
        """Return the title with which a picture is ranked against the other pictures: its own title, or else the first
        shared title.
        """
        return self.own.get(picture) or self.shared[0]


@dataclass(frozen=True)
class _Cell:
    """A package: a title and the id of a picture."""

    title: EncodedTitle
    picture: str


def rank_packages(
    pictures: Mapping[str, ExaminedPicture],
    near_identical: Sequence[Sequence[str]],
    titles: GridTitles,
    query: RankingContext,
    ranker: TrainedRanker,
) -> PackagesOut:
    """Return the ranked packages of a request with several titles, and the verdict on the packages.

    `query` has the niche and the channel. The titles of `query` are not used. `near_identical` has the groups of
    near-identical pictures. Two pictures of a group can have different titles, because a picture may have a
    title of its own.
    """
    # `rank` ranks pictures by their ids, so each package gets an id: its number.
    cells = {str(number): cell for number, cell in enumerate(_cells(pictures, titles))}
    of_cells = RankingContext({key: cell.title for key, cell in cells.items()}, query.niche, query.channel, True)
    pictures_of_cells = {key: pictures[cell.picture] for key, cell in cells.items()}
    ranking = rank(pictures_of_cells, _groups(cells, near_identical), of_cells, ranker)
    if not has_proven_skill(ranker, query.channel, PACKAGE):
        ranking = _without_order(ranking)
    best = None if ranking.winner is None else cells[ranking.winner]
    adapted = query.adapter is not None
    ids = {key: cell.picture for key, cell in cells.items()}
    why = explain(list(cells), ranking, of_cells, ranker, ids)
    return PackagesOut(
        best_title=None if best is None else best.title.text,
        best_thumbnail=None if best is None else best.picture,
        verdict=ranking.verdict,
        confidence=ranking.confidence,
        skill=skill(ranker, query.channel, PACKAGE),
        probabilities_from=None if ranking.confidence is None else ranker.calibration.fitted_to(adapted, PACKAGE),
        grid=[_package(key, cell, ranking, why[key]) for key, cell in cells.items()],
        under_titles=[_under(title, pictures, near_identical, (titles, query, ranker)) for title in titles.shared],
        why=why.get(ranking.winner or next(iter(cells), "")),
    )


def _cells(pictures: Mapping[str, ExaminedPicture], titles: GridTitles) -> list[_Cell]:
    shared = [_Cell(title, name) for title in titles.shared for name in pictures if name not in titles.own]
    return shared + [_Cell(titles.own[name], name) for name in pictures if name in titles.own]


def _groups(cells: Mapping[str, _Cell], near_identical: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the groups of packages that have the same title and near-identical pictures."""
    group_of = {name: number for number, group in enumerate(near_identical) for name in group}
    members: dict[tuple[str, int], list[str]] = {}
    for key, cell in cells.items():
        if cell.picture in group_of:
            members.setdefault((cell.title.text, group_of[cell.picture]), []).append(key)
    return [tuple(keys) for keys in members.values() if len(keys) > 1]


def _without_order(ranking: Ranking) -> Ranking:
    """Return the ranking with only the scores and the verdict, and without a winner, ranks and win probabilities.

    There is no order by evidence, because the evidence of a picture is nearly the same under all titles.
    """
    if not ranking.pictures:
        return ranking
    pictures = {key: RankedPicture(ranked.familiar, score=ranked.score) for key, ranked in ranking.pictures.items()}
    verdict = Verdict.ONLY_ONE if len(pictures) == 1 else Verdict.NO_SKILL
    return Ranking(pictures, ranking.unfamiliar, verdict=verdict, near_identical=ranking.near_identical)


def _package(key: str, cell: _Cell, ranking: Ranking, why: WhyOut) -> PackageOut:
    ranked = ranking.pictures[key]
    return PackageOut(
        title=cell.title.text,
        thumbnail=cell.picture,
        rank=ranked.rank,
        score=ranked.score,
        win_probability=ranked.win_probability,
        margin=_margin(key, ranking),
        why=why,
    )


def _margin(key: str, ranking: Ranking) -> float | None:
    """Return the probability that the best package beats the package `key`.

    For the best package itself, return the probability that it beats the second-best package.
    """
    if key not in ranking.strengths or ranking.winner is None:
        return None
    if ranking.pictures[key].rank == 1:
        return ranking.confidence
    return 1.0 / (1.0 + math.exp(min(0.0, ranking.strengths[key] - ranking.strengths[ranking.winner])))


def _under(
    title: EncodedTitle,
    pictures: Mapping[str, ExaminedPicture],
    near_identical: Sequence[Sequence[str]],
    asked: tuple[GridTitles, RankingContext, TrainedRanker],
) -> UnderTitleOut:
    """Return the verdict on the pictures if all have the title `title`. Pictures with their own title are left out."""
    titles, query, ranker = asked
    shown = {name: picture for name, picture in pictures.items() if name not in titles.own}
    groups = [[name for name in group if name in shown] for group in near_identical]
    under = RankingContext(dict.fromkeys(shown, title), query.niche, query.channel)
    ranking = rank(shown, [group for group in groups if len(group) > 1], under, ranker)
    if not has_proven_skill(ranker, query.channel, ONE_TITLE):
        ranking = _without_order(ranking)
    return UnderTitleOut(
        title=title.text, winner=ranking.winner, verdict=ranking.verdict, confidence=ranking.confidence
    )


def grid_titles(sources: Sequence[Source], form: ScoreForm, encoders: Encoders) -> GridTitles:
    """Return the titles of a request with their vectors."""

    def encoded(title: str) -> EncodedTitle:
        return EncodedTitle(title, encoders.title_vector(title))

    own = {source.id: encoded(source.title) for source in sources if source.title is not None}
    return GridTitles([encoded(title) for title in form.all_titles], own)
