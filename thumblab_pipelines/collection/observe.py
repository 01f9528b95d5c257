"""Ask YouTube for the current counts of each video whose last counts are too old.

The counts are stored as observations. From the observations of a video, the lab later estimates how many views the
video had at a fixed age.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.collection.crawl_rules import GONE
from thumblab_pipelines.collection.refetch import observe_counts, refetch
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.videos.limited_deletion import LimitedDeletion
from thumblab_pipelines.videos.records import SHORT, VIDEO
from thumblab_pipelines.youtube.client import PAGE_SIZE, YouTube
from thumblab_pipelines.youtube.quota import QuotaError, Spending
from thumblab_pipelines.youtube.without_key import reason_not_to_ask

# A video gets most of its views in its first weeks, so young videos are observed more often. Depending on its age, a
# video is observed every 6 hours, every day or every week. The intervals in this query are a little shorter. Otherwise,
# a run that starts some seconds early would skip videos that are not quite due.
_DUE = text("""
SELECT v.video_id, v.format
FROM videos v
CROSS JOIN LATERAL (
  SELECT CASE WHEN CAST(:now AS timestamptz) - v.published_at < interval '3 days' THEN interval '5.5 hours'
              WHEN CAST(:now AS timestamptz) - v.published_at < interval '14 days' THEN interval '23 hours'
              ELSE interval '6.9 days' END AS rest
) due
WHERE v.niche = :niche AND v.source = 'youtube'
  AND v.published_at > CAST(:now AS timestamptz) - interval '91 days'
  AND NOT EXISTS (
    SELECT 1 FROM video_stats s WHERE s.video_id = v.video_id AND s.observed_at > CAST(:now AS timestamptz) - due.rest
  )
ORDER BY v.published_at DESC, v.video_id
""")


@dataclass(frozen=True)
class Observed:
    """The result of one run that observed the videos of a niche.

    `due`: number of videos that were to be observed. Among the due videos, `observed` got new counts, and `gone` are no
    longer on YouTube. `quota`: quota that the run spent. `stopped`: why the run ended early, or None. `withheld`: a
    check. The check fails if the lab refused to delete the gone videos, because they were too many. `remarks`: if
    YouTube was not asked, a sentence that says why.
    """

    due: int
    observed: int
    gone: int
    quota: Spending
    stopped: str | None
    withheld: CheckResult
    remarks: Sequence[str] = ()


def observe(lab: Lab, niche: str, progress: Progress = silent, confirmed: bool = False) -> Observed:
    """Store the present counts of every due video of the niche.

    A video is due every 6 hours up to an age of 3 days, daily up to 14 days, and weekly up to 90 days. A video that is
    no longer on YouTube is deleted. YouTube may leave a video out of an answer by mistake. So the run asks again before
    it deletes a video. The run asks up to two times more for an ordinary video or a Short, and once more for a live or
    upcoming video. If more videos are gone than `LimitedDeletion` allows, no video is deleted, unless a person has
    `confirmed` the deletion.

    If the quota is spent, the run ends early, and `stopped` gives the reason. If no API key is set, a niche without
    videos from YouTube is not observed, and no error is raised. Raises `LabError` if no key is set and the niche has
    videos from YouTube, or if YouTube refuses a call.
    """
    observed = due = asked = 0
    gone: list[str] = []
    stopped = None
    deletion = LimitedDeletion(lab, niche, "view_history", confirmed)
    not_asked = reason_not_to_ask(lab, niche)
    if not_asked is not None:
        return Observed(0, 0, 0, Spending({}, []), None, deletion.check(), [not_asked])
    with YouTube.connect(lab.settings, lab.engine) as youtube:
        try:
            formats = _due(lab, niche, youtube.now)
            due = len(formats)
            settled = [video_id for video_id, kind in formats.items() if kind in (VIDEO, SHORT)]
            # A live or upcoming video becomes an ordinary video later. The counts of a video do not show this change.
            # So all facts of a live or upcoming video are fetched.
            unsettled = [video_id for video_id, kind in formats.items() if kind not in (VIDEO, SHORT)]
            missing: list[str] = []
            for batch in batches(settled, PAGE_SIZE, f"{niche}: observing", progress):
                asked += len(batch)
                counted = observe_counts(lab, youtube, batch).video_ids
                observed += len(counted)
                missing += sorted(set(batch) - set(counted))
            asked += len(unsettled)
            for batch in batches(
                unsettled + missing, PAGE_SIZE, f"{niche}: fetching live and missing videos", progress
            ):
                refetched = refetch(lab, youtube, niche, batch)
                observed += refetched.present
                gone += refetched.gone
        except QuotaError as error:
            stopped = str(error)
        finally:
            deletion.delete(GONE, gone, asked)
        spent = youtube.ledger.spending(youtube.now)
        return Observed(due, observed, len(gone), spent, stopped, deletion.check())


def _due(lab: Lab, niche: str, now: datetime) -> dict[str, str]:
    """Return the format of each video whose counts the lab must fetch again now, by video id."""
    with lab.engine.connect() as connection:
        return {row.video_id: row.format for row in connection.execute(_DUE, {"niche": niche, "now": now})}


def check_observation(observed: Observed) -> list[CheckResult]:
    """Check that at most half of the videos that the run had to observe are gone from YouTube. The check also passes if
    the run ended early.

    A second check fails if the lab refused to delete the gone videos, because they were too many.
    """
    explanation = f"{observed.observed} of {observed.due} due videos observed, {observed.gone} are gone"
    answered = observed.stopped is not None or observed.gone * 2 <= observed.due
    figures = {"due": observed.due, "observed": observed.observed, "gone": observed.gone}
    return [CheckResult("answered", answered, explanation, figures=figures), observed.withheld]
