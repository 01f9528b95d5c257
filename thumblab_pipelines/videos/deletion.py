"""Delete videos, never too many at once: what a clock or an answer got wrong must not empty a niche.

A run may delete a share of the niche's videos (`THUMBLAB_FORGET_SHARE`), of each reason all or none (`forget_oldest`: the
oldest), and more only where a person confirms it. What is withheld stays as it is, and the run says so.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.lab import Lab

CHECK = "not_too_many"

_FEW = 5
"""So many may go at once, whatever share of a small niche that is."""

_COUNT = text("SELECT count(*) FROM videos WHERE niche = :niche AND source = 'youtube'")

_LAST_HEARD = text("""
SELECT max(moment) FROM (
  SELECT max(refreshed_at) AS moment FROM videos WHERE source = 'youtube'
  UNION ALL
  SELECT max(s.observed_at) FROM video_stats s JOIN videos v USING (video_id) WHERE v.source = 'youtube'
) told
""")


def delete_videos(connection: Connection, video_ids: Sequence[str]) -> int:
    """Delete the videos and all that the tables know of them; how many there were.

    Their pictures and their places in releases go with the next `retain`. The owner's own reach (`video_reach`) stays: it
    was given by the owner, not told by the public API.
    """
    if not video_ids:
        return 0
    # The rows of the crawl first: its workers hold theirs while they write to `videos`.
    ids = {"ids": list(video_ids)}
    connection.execute(text("DELETE FROM crawl_videos WHERE video_id = ANY(:ids)"), ids)
    return connection.execute(text("DELETE FROM videos WHERE video_id = ANY(:ids)"), ids).rowcount


def last_heard(lab: Lab) -> datetime:
    """The newest moment that YouTube told the lab, which no clock of this machine moves; now where it told none."""
    now = datetime.now(UTC)
    with lab.engine.connect() as connection:
        told: datetime | None = connection.scalar(_LAST_HEARD)
    return now if told is None else min(told, now)


class Deletion:
    """What one run forgets of a niche: `forgotten` and `withheld` count videos by reason."""

    def __init__(self, lab: Lab, niche: str, asset: str, confirmed: bool = False) -> None:
        self._lab, self._asset, self._confirmed = lab, asset, confirmed
        with lab.engine.connect() as connection:
            self._count = int(connection.execute(_COUNT, {"niche": niche}).scalar_one())
        self._most = max(_FEW, int(self._count * lab.settings.forget_share))
        self.forgotten: Counter[str] = Counter()
        self.withheld: Counter[str] = Counter()

    def allows(self, reason: str, count: int, asked: int | None = None) -> bool:
        """Whether so many more may be forgotten; they are withheld if not.

        `asked`: of how many YouTube was asked. That it has lost most of them is not believed either.
        """
        too_many = self.forgotten.total() + count > self._most
        lost_most = asked is not None and count > _FEW and 2 * count > asked
        allowed = self._confirmed or not count or not (too_many or lost_most)
        if not allowed:
            self.withheld[reason] = count
        return allowed

    def forget(self, reason: str, video_ids: Sequence[str], asked: int | None = None) -> None:
        """Forget these videos, all or none; see `allows`."""
        if self.allows(reason, len(video_ids), asked):
            with self._lab.engine.begin() as connection:
                self.forgotten[reason] += delete_videos(connection, video_ids)

    def forget_oldest(self, reason: str, video_ids: Sequence[str]) -> None:
        """Forget as many of these videos, the oldest first, as are left of the share; the rest is withheld."""
        going = video_ids if self._confirmed else video_ids[: max(0, self._most - self.forgotten.total())]
        self.withheld.pop(reason, None)
        self.forget(reason, going)
        if len(going) < len(video_ids):
            self.withheld[reason] = len(video_ids) - len(going)

    @property
    def explanation(self) -> str:
        """What is withheld and what to do about it."""
        if not self.withheld:
            return f"{self.forgotten.total()} of {self._count} videos forgotten, at most {self._most} may be at once"
        said = ", ".join(f"{count} {reason}" for reason, count in self.withheld.items())
        return (
            f"{said}. At most {self._most} of {self._count} videos are forgotten at once unless a person confirms; these "
            "were kept. See whether the clock, the settings and YouTube's answers are right; to forget them all the "
            f"same, materialize {self._asset} with the config confirmed: true"
        )

    def verdict(self) -> CheckResult:
        return CheckResult(CHECK, not self.withheld, self.explanation)
