"""Compose the answer about a video from its rows in the database and its place in the served library."""

from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from thumblab_core.database.channels import Channel
from thumblab_core.index import Item
from thumblab_core.niches import UnknownNicheError
from thumblab_core.sub_scores import NAMES, Evidence, Measurement, SubScore
from thumblab_core.sub_scores.distribution import ScoreDistribution
from thumblab_serving.loading.served_releases import NotReadyError
from thumblab_serving.looking.libraries import Library
from thumblab_serving.looking.queries import UnknownVideoError
from thumblab_serving.looking.similar_search import SimilarSearch
from thumblab_serving.looking.stored_video import VideoRows, read_video
from thumblab_serving.schemas.evidence import SubScoreOut
from thumblab_serving.schemas.library import (
    ClickThroughOut,
    MeasuredPictureOut,
    ThumbnailVersionOut,
    VideoOut,
    ViewsOut,
)
from thumblab_serving.scoring.scorer import Scorer
from thumblab_serving.scoring.sub_scores import present_evidence, present_sub_scores

_NEIGHBOURS = 8
_NOT_MEASURED = "the lab could not measure it in this picture"


class Videos:
    """The videos of the lab. Many threads may use this object at the same time."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._search = SimilarSearch(scorer)
        self._evidence = TypeAdapter(Evidence)

    def show(self, video_id: str, owner: str | None) -> VideoOut:
        """Return the data that the lab has about a video. `owner` identifies the API key of the request
        (see `Channel.belongs_to`).

        Raises `UnknownVideoError`, or `NoDatabaseError` if the database cannot answer.
        """
        rows = self._scorer.database.read(lambda connection: read_video(connection, video_id))
        if rows is None:
            raise UnknownVideoError("the lab does not know this video")
        facts, degraded = rows.facts, list[str]()
        libraries = self._libraries_with(video_id, degraded)
        niche = str(facts["niche"])
        own = next((library for library in libraries if library.niche == niche), next(iter(libraries), None))
        if own is None and not degraded:
            degraded.append("no served library has this video, so it has no neighbours")
        index = None if own is None else own.index
        channel = Channel(facts["channel_id"], facts["channel"], owner=facts["owner"])
        known = {name: facts[name] for name in VideoOut.model_fields if name in facts}
        known["picture_url"] = facts["picture_url"]
        return VideoOut.model_validate(
            known
            | {
                "searched_in": [library.niche for library in libraries],
                "age_days": max(0, (datetime.now(UTC) - facts["published_at"]).days),
                "winner": _winner(facts),
                "history": [ViewsOut.model_validate(dict(row)) for row in rows.history],
                "views_at_age": {str(age): views for age, views in rows.views_at_age.items()},
                "thumbnails": _versions(rows),
                "measured": self._measured(rows, None if index is None else index.value.scores, degraded),
                "neighbours": [] if own is None else self._search.neighbours(own, video_id, _NEIGHBOURS),
                "index_release": None if index is None else index.release_id,
                "click_through": _clicks(rows) if channel.belongs_to(owner) else None,
                "degraded": degraded,
            }
        )

    def _libraries_with(self, video_id: str, degraded: list[str]) -> list[Library]:
        found = []
        try:
            for niche in self._scorer.releases.indices:
                try:
                    index, refusal = self._scorer.releases.resolve_index(niche)
                except UnknownNicheError:
                    continue  # A person retired the niche a moment ago.
                if refusal is not None:
                    degraded.append(refusal)
                if index is not None and video_id in index.value:
                    found.append(Library(niche, index, index.value.encoder))
        except NotReadyError as error:
            degraded.append(f"the neighbours were not looked up: {error}")
        return found

    def _measured(
        self, rows: VideoRows, library: ScoreDistribution | None, degraded: list[str]
    ) -> MeasuredPictureOut | None:
        row = rows.measured
        if row is None:
            return None
        same = library if library is not None and library.version == row["version"] else None
        if library is not None and same is None:
            degraded.append("the sub-scores have no percentiles: another version of the meter measured the library")
        evidence = None
        try:
            evidence = None if row["evidence"] is None else self._evidence.validate_python(row["evidence"])
        except ValidationError:
            degraded.append("the evidence of the sub-scores was stored by another version of the lab")
        if evidence is None:
            return MeasuredPictureOut(version=row["version"], sub_scores=_without_evidence(row, same), evidence=None)
        scores = {name: SubScore(name, row[name], _NOT_MEASURED, None) for name in NAMES}
        width, height = rows.facts["width"], rows.facts["height"]
        return MeasuredPictureOut(
            version=row["version"],
            sub_scores=present_sub_scores(Measurement(scores, evidence), same),
            evidence=present_evidence(evidence, width, height) if width and height else None,
        )


def _winner(facts: Any) -> bool | None:
    if facts["views_per_hour"] is None:
        return None
    return Item("", "", "", None, facts["views_per_hour"], facts["outlier_multiple"]).winner


def _versions(rows: VideoRows) -> list[ThumbnailVersionOut]:
    last = len(rows.versions) - 1
    return [
        ThumbnailVersionOut(
            sha256=row["sha256"],
            title=row["title"],
            first_seen=row["first_seen"],
            last_seen=row["last_seen"],
            current=at == last and row["sha256"] == rows.facts["sha256"],
            earlier_deleted=row["earlier_deleted"],
            views=row["views"],
            views_per_hour=row["per_hour"],
        )
        for at, row in enumerate(rows.versions)
    ]


def _clicks(rows: VideoRows) -> ClickThroughOut | None:
    row = rows.clicks
    if row is None:
        return None
    return ClickThroughOut(
        click_through_rate=row["click_through_rate"],
        impressions=row["impressions"],
        source=row["source"],
        until=row["last_day"],
    )


def _without_evidence(row: Any, library: ScoreDistribution | None) -> dict[str, SubScoreOut]:
    reason = "an older version of the lab measured the picture, and kept no evidence"
    return {
        name: SubScoreOut(
            value=row[name],
            niche_percentile=None if library is None or row[name] is None else library.percentile(name, row[name]),
            weak=False,
            reason=_NOT_MEASURED if row[name] is None else reason,
            fix=None,
        )
        for name in NAMES
    }
