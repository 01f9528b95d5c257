"""Observe the counts of videos again when they are due, so that views at a fixed age can be computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.collection.crawl_rules import GONE
from thumblab_pipelines.collection.refetch import observe_counts, refetch
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.progress import Progress, batches, silent
from thumblab_pipelines.videos.deletion import Deletion
from thumblab_pipelines.videos.records import SHORT, VIDEO
from thumblab_pipelines.youtube.client import PAGE_SIZE, YouTube
from thumblab_pipelines.youtube.quota import QuotaError, Spending
from thumblab_pipelines.youtube.without_key import reason_not_to_ask

# Views come fast at first and rarely after some weeks, so young videos are observed more often. The intervals are a
# little shorter than the schedule's, because a run that starts seconds early would otherwise skip a round.
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
    """The counts of one run over a niche.

    `due` videos were to be observed, `observed` were, and `gone` are at YouTube no more. `quota` is what the run spent.
    `stopped` says why it ended early, or is None. `withheld` fails if deletions were withheld, because they were too
    many at once. `remarks` say that YouTube was not asked, and why.
    """

    due: int
    observed: int
    gone: int
    quota: Spending
    stopped: str | None
    withheld: CheckResult
    remarks: Sequence[str] = ()


def observe(lab: Lab, niche: str, progress: Progress = silent, confirmed: bool = False) -> Observed:
    """Add an observation to every video of the niche that is due.

    A video is due every 6 hours up to an age of 3 days, daily up to 14 days, and weekly up to 90 days. A video that
    YouTube leaves out is asked for twice more before it is deleted. Never more than a share of the niche is deleted at
    once, unless a person has `confirmed` it; see `Deletion`.

    Ends early if the quota is spent, which `stopped` then says. Asks nothing if no key is set and the niche has nothing
    of YouTube's. Raises `LabError` if no key is set otherwise, or if YouTube refuses.
    """
    observed = due = asked = 0
    gone: list[str] = []
    stopped = None
    deletion = Deletion(lab, niche, "view_history", confirmed)
    not_asked = reason_not_to_ask(lab, niche)
    if not_asked is not None:
        return Observed(0, 0, 0, Spending({}, []), None, deletion.check(), [not_asked])
    with YouTube.connect(lab.settings, lab.engine) as youtube:
        try:
            formats = _due(lab, niche, youtube.now)
            due = len(formats)
            settled = [video_id for video_id, kind in formats.items() if kind in (VIDEO, SHORT)]
            # A live or upcoming video becomes something else, which its counts alone would not show.
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
    """Return the format of each video that is due, by id."""
    with lab.engine.connect() as connection:
        return {row.video_id: row.format for row in connection.execute(_DUE, {"niche": niche, "now": now})}


def check_observation(observed: Observed) -> list[CheckResult]:
    """Check that YouTube answered for at least half of the due videos, and that no deletion was withheld."""
    explanation = f"{observed.observed} of {observed.due} due videos observed, {observed.gone} are gone"
    answered = observed.stopped is not None or observed.gone * 2 <= observed.due
    return [CheckResult("answered", answered, explanation), observed.withheld]
