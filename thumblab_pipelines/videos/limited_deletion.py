"""Delete videos, but never too many in one run. So a wrong clock or a wrong answer of YouTube cannot empty a niche.

A run may delete at most a share of the niche's videos (`THUMBLAB_FORGET_SHARE`), or a few videos of a small niche. If
several videos are to be deleted for the same reason, the run deletes all or none of them. Only `delete_oldest` may
delete a part of them: the oldest videos. A person can confirm the deletion of more videos. Without a confirmation, the
deletion of too many videos is withheld: the videos stay, and the run reports their number.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import text

from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.deletion import delete_videos

CHECK = "not_too_many"
"""The name of the Dagster asset check that fails if a run withheld deletions."""

_FEW = 5
"""The number of videos that one Dagster run may always delete, even if they are a large share of a small niche."""

_COUNT = text("SELECT count(*) FROM videos WHERE niche = :niche AND source = 'youtube'")

_LAST_HEARD = text("""
SELECT max(moment) FROM (
  SELECT max(refreshed_at) AS moment FROM videos WHERE source = 'youtube'
  UNION ALL
  SELECT max(s.observed_at) FROM video_stats s JOIN videos v USING (video_id) WHERE v.source = 'youtube'
) heard
""")


def last_heard(lab: Lab) -> datetime:
    """Return the time of the newest answer that the lab has from YouTube.

    If there is no answer, or if the time of the answer is ahead of this machine's clock, return this machine's time.
    Usually, the returned time comes from YouTube. So if this machine's clock is far ahead, videos do not look older
    than they are.
    """
    now = datetime.now(UTC)
    with lab.engine.connect() as connection:
        heard: datetime | None = connection.scalar(_LAST_HEARD)
    return now if heard is None else min(heard, now)


def earlier_clock(lab: Lab, own: datetime) -> datetime:
    """Return the earlier of two times: this machine's time `own`, and the time of the database server.

    The server may be on another host. So if one of the two clocks is ahead, no video looks older than it is.
    """
    with lab.engine.connect() as connection:
        servers: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return min(own, servers)


class LimitedDeletion:
    """The deletions of one run in one niche, and their limit. `deleted` and `withheld`: numbers of videos, by reason.

    `asset`: the name of the Dagster asset that the run materializes. `confirmed`: whether a person allowed any number
    of deletions.
    """

    def __init__(self, lab: Lab, niche: str, asset: str, confirmed: bool = False) -> None:
        self._lab, self._asset, self._confirmed = lab, asset, confirmed
        # A retired niche has no partition, so a person cannot start a run that confirms its deletions.
        self._has_partition = niche in lab.niches
        with lab.engine.connect() as connection:
            self._count = int(connection.execute(_COUNT, {"niche": niche}).scalar_one())
        self._most = max(_FEW, int(self._count * lab.settings.forget_share))
        self.deleted: Counter[str] = Counter()
        self.withheld: Counter[str] = Counter()

    def allows(self, reason: str, count: int, asked: int | None = None) -> bool:
        """Return whether `count` more videos may be deleted. If not, count these videos as withheld.

        `reason`: why the videos are to be deleted, such as "removed or private". The deletion is withheld if it would
        exceed the run's limit. `asked`: for videos that are gone from YouTube, the number of videos that YouTube was
        asked about. If `count` is above 5 and above half of `asked`, YouTube's answer is probably wrong, so the
        deletion is withheld too. If a person confirmed the deletions of the run, every deletion is allowed.
        """
        too_many = self.deleted.total() + count > self._most
        lost_most = asked is not None and count > _FEW and 2 * count > asked
        allowed = self._confirmed or not count or not (too_many or lost_most)
        if not allowed:
            self.withheld[reason] = count
        return allowed

    def delete(self, reason: str, video_ids: Sequence[str], asked: int | None = None) -> None:
        """Delete all of these videos. If `allows` returns False for this number of videos, delete none of them."""
        if self.allows(reason, len(video_ids), asked):
            with self._lab.engine.begin() as connection:
                self.deleted[reason] += delete_videos(connection, video_ids)

    def delete_oldest(self, reason: str, video_ids: Sequence[str]) -> None:
        """Delete as many of these videos as the run may still delete, and withhold the deletion of the other videos.

        `video_ids` must begin with the oldest video.
        """
        allowed = video_ids if self._confirmed else video_ids[: max(0, self._most - self.deleted.total())]
        self.withheld.pop(reason, None)
        self.delete(reason, allowed)
        if len(allowed) < len(video_ids):
            self.withheld[reason] = len(video_ids) - len(allowed)

    @property
    def explanation(self) -> str:
        """The explanation of the asset check `not_too_many`.

        The explanation gives the number of withheld videos and says what to do. If no video was withheld, the
        explanation gives the number of deleted videos.
        """
        if not self.withheld:
            return f"{self.deleted.total()} of {self._count} videos deleted; the limit is {self._most} at once"
        withheld = ", ".join(f"{count} {reason}" for reason, count in self.withheld.items())
        confirm = f" To delete the videos anyway, materialize {self._asset} with the config confirmed: true"
        return (
            f"{withheld}. At most {self._most} of {self._count} videos are deleted at once unless a person confirms, "
            "so these videos were kept. Check the clock, the settings and YouTube's answers."
        ) + (confirm if self._has_partition else "")

    def check(self) -> CheckResult:
        """Return the asset check, which fails if the deletion of any video was withheld."""
        figures = {"deleted": self.deleted.total(), "withheld": self.withheld.total(), "limit": self._most}
        return CheckResult(CHECK, not self.withheld, self.explanation, figures=figures)
