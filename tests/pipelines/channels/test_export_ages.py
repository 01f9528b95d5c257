"""Tests of the age at which the views of an export were counted. An export has days, and no times."""

from pathlib import Path

import pytest
from owner_exports import Owner, write
from sqlalchemy import text

from thumblab_pipelines.channels.export_channel import GivenExports
from thumblab_pipelines.channels.from_export import import_exports

AGES = text("""
SELECT DISTINCT EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600 AS hours
FROM video_stats s JOIN videos v USING (video_id)
""")


@pytest.mark.parametrize(("last_day", "hours"), [("2026-03-20", 12), ("2026-03-21", 24), ("2026-03-25", 120)])
def test_a_video_of_the_last_day_of_an_export_counts_as_half_a_day_old(
    owner: Owner, tmp_path: Path, last_day: str, hours: int
) -> None:
    rows = [owner.row(video, **{"Video publish time": "Mar 20, 2026"}) for video in owner.videos[:2]]
    export = write(tmp_path / f"Content 2015-01-01_{last_day} My channel.csv", rows)
    for _ in range(2):  # A second import of the same export adds no count.
        import_exports(owner.lab, GivenExports([export], niche="tech"))
        with owner.lab.engine.connect() as connection:
            assert connection.scalars(AGES).all() == [hours]
