"""Look again at the videos whose counts are due: the history of a video is what its views at a fixed age come from."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.collection.crawl_rules import GONE
from thumblab_pipelines.collection.refetch import refetch
from thumblab_pipelines.collection.refresh import observe_counts
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.videos.deletion import Deletion
from thumblab_pipelines.videos.records import SHORT, VIDEO
from thumblab_pipelines.youtube.client import PAGE, YouTube
from thumblab_pipelines.youtube.quota import QuotaError, Spending

# Views come fast at first and hardly any after some weeks, so the young are looked at more often. The intervals are a
# little shorter than the schedule's, or a run that starts seconds early would skip a round.
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
    """How many videos were due and observed, how many YouTube no longer has, what it cost, why it ended early, and whether
    something was withheld, because it was too much at once."""

    due: int
    observed: int
    gone: int
    quota: Spending
    stopped: str | None
    withheld: CheckResult


def observe(lab: Lab, niche: str, progress: Progress = silent, confirmed: bool = False) -> Observed:
    """Add an observation to every video of the niche that is due: below 3 days of age every 6 hours, to 14 days daily, to
    90 days weekly. A video that YouTube leaves out is asked for twice more before it is forgotten, and never more than a
    share of the niche at once unless a person has `confirmed` it; see `Forgetting`.

    Ends early, and says so, when the quota is spent. Raises `LabError` when no key is set or YouTube refuses.
    """
    observed = due = asked = 0
    gone: list[str] = []
    stopped = None
    forgetting = Deletion(lab, niche, "view_history", confirmed)
    with YouTube.connect(lab.settings, lab.engine) as youtube:
        try:
            formats = _due(lab, niche, youtube.now)
            due = len(formats)
            counted = [video_id for video_id, kind in formats.items() if kind in (VIDEO, SHORT)]
            # What is live or upcoming becomes something else, which its counts alone would not tell.
            unsettled = [video_id for video_id, kind in formats.items() if kind not in (VIDEO, SHORT)]
            missing: list[str] = []
            for batch in batches(counted, PAGE, f"{niche}: observing", progress):
                asked += len(batch)
                found, _ = observe_counts(lab, youtube, batch)
                observed += len(found)
                missing += sorted(set(batch) - set(found))
            asked += len(unsettled)
            for batch in batches(unsettled + missing, PAGE, f"{niche}: looking closer", progress):
                looked = refetch(lab, youtube, niche, batch)
                observed += looked.there
                gone += looked.gone
        except QuotaError as error:
            stopped = str(error)
        finally:
            forgetting.delete(GONE, gone, asked)
        spent = youtube.ledger.spending(youtube.now)
        return Observed(due, observed, len(gone), spent, stopped, forgetting.check())


def _due(lab: Lab, niche: str, now: datetime) -> dict[str, str]:
    """The format of each video that is due."""
    with lab.engine.connect() as connection:
        return {row.video_id: row.format for row in connection.execute(_DUE, {"niche": niche, "now": now})}


def check_observation(found: Observed) -> list[CheckResult]:
    """Did YouTube tell of most of what it was asked for? That half of the videos are gone would want a look."""
    explanation = f"{found.observed} of {found.due} due videos observed, {found.gone} are gone"
    answered = found.stopped is not None or found.gone * 2 <= found.due
    return [CheckResult("answered", answered, explanation), found.withheld]
