"""The owner of a channel, for tests of importing reach reports.

The owner has a lab and an emulator of YouTube. The emulator offers reach reports, and the lab imports the reports. A
reach report has each video's impressions and click-through rate on one day.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from demo.emulator import Emulator
from demo.reporting import ReachReport, reach_csv
from thumblab_core.database.tables import video_reach
from thumblab_core.errors import LabError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.owner_ctr.reach import ReachImport, import_reach

CLIENT_SECRET, REFRESH_TOKEN = "GOCSPX-SecretOfTheClient", "1//RefreshTokenOfTheOwner"
CHANNEL = "UC0123456789012345678901"
DAY = date(2026, 11, 1)
A, B, C = "video_aaaaa", "video_bbbbb", "video_ccccc"

Row = tuple[str, int, float]


def report(day: date, *rows: Row, later: int = 0) -> ReachReport:
    """Return the reach report of `day` with the rows `rows`.

    YouTube makes the first report of a day at noon (UTC) of the next day. If `later` is not 0, the returned report is a
    correction, which YouTube makes `later` hours after the first report.
    """
    created_at = datetime.fromisoformat(f"{day + timedelta(days=1)}T12:00:00+00:00") + timedelta(hours=later)
    table = reach_csv((day, CHANNEL, video_id, impressions, rate) for video_id, impressions, rate in rows)
    return ReachReport(day, day + timedelta(days=1), table, created_at)


@dataclass
class Owner:
    """A lab with the credentials of a channel's owner, and the emulator that the lab calls."""

    lab: Lab
    emulator: Emulator

    def run(self) -> ReachImport:
        return import_reach(self.lab)

    def import_reports(self, *reports: ReachReport) -> ReachImport:
        """Let the emulator offer only `reports`, and import these reports."""
        self.emulator.reach_reports = list(reports)
        return self.run()

    def stored(self) -> dict[tuple[str, date], tuple[int, float]]:
        """Return the stored impressions and click-through rate by video and day."""
        with self.lab.engine.connect() as connection:
            rows = connection.execute(select(video_reach).where(video_reach.c.source == "reach")).all()
        return {(row.video_id, row.day): (row.impressions, row.click_through_rate) for row in rows}


def lab_with(owner: Owner, **changed: Any) -> Lab:
    """Return the owner's lab with changed settings. `changed` has the new values by the name of the setting."""
    return replace(owner.lab, settings=owner.lab.settings.model_copy(update=changed))


def import_error(owner: Owner) -> LabError:
    """Run an import that must fail with an error of one line, and return the error."""
    with pytest.raises(LabError) as caught:
        owner.run()
    assert "\n" not in str(caught.value)
    return caught.value
