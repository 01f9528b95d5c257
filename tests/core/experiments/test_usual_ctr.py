"""Test the usual click-through rate of a channel.

This rate is the mean rate of the channel's videos, weighted by their impressions. Shorts are left out.
"""

from datetime import UTC, date, datetime

import pytest
from given_experiments import CHANNEL, put_channel
from sqlalchemy import insert

from thumblab_core.database.tables import video_reach
from thumblab_core.experiments.usual_ctr import UsualCtr, usual_ctr
from thumblab_pipelines.lab import Lab


def put_reach(lab: Lab, video_id: str, impressions: int, ctr: float, is_short: bool | None = None) -> None:
    row = {"video_id": video_id, "source": "studio", "day": date(2026, 11, 1), "is_short": is_short}
    row |= {"impressions": impressions, "click_through_rate": ctr, "imported_at": datetime.now(UTC)}
    with lab.engine.begin() as connection:
        connection.execute(insert(video_reach).values(**row))


def usual(lab: Lab) -> UsualCtr | None:
    with lab.engine.connect() as connection:
        return usual_ctr(connection, CHANNEL)


def test_the_usual_rate_weighs_videos_by_impressions_and_leaves_shorts_and_other_channels_out(lab: Lab) -> None:
    put_channel(lab, CHANNEL, "Alpha", "video_aaaaa", "video_bbbbb", "video_short")
    put_channel(lab, "UC" + "b" * 22, "Beta", "video_other")
    put_reach(lab, "video_aaaaa", 1_000, 0.10)
    put_reach(lab, "video_bbbbb", 3_000, 0.02, is_short=False)
    put_reach(lab, "video_short", 9_000, 0.90, is_short=True)
    put_reach(lab, "video_other", 9_000, 0.50)
    put_reach(lab, "not_in_the_lab", 9_000, 0.50)
    assert usual(lab) == UsualCtr(pytest.approx(0.04), 4_000, 2)


def test_a_channel_without_a_thousand_impressions_has_no_usual_rate(lab: Lab) -> None:
    put_channel(lab, CHANNEL, "Alpha", "video_aaaaa")
    assert usual(lab) is None
    put_reach(lab, "video_aaaaa", 999, 0.05)
    assert usual(lab) is None


def test_a_channel_without_clicks_has_no_usual_rate(lab: Lab) -> None:
    put_channel(lab, CHANNEL, "Alpha", "video_aaaaa")
    put_reach(lab, "video_aaaaa", 5_000, 0.0)
    assert usual(lab) is None
