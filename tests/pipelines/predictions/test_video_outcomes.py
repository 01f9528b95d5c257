"""Tests of how kept predictions are joined with published videos.

A prediction is joined with a video that shows one of its candidates. The stored outcome is the log views of the video
at the age of a week, minus the trend of its channel. The trend is computed from other videos of the channel.
"""

from datetime import timedelta
from typing import Any

import pytest
from kept import SCORED, outcomes, predict, publish, show
from sqlalchemy import text, update

from thumblab_core.database.tables import thumbnail_versions, views_at_age
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.predictions import join
from thumblab_pipelines.predictions.join import Joined, join_outcomes
from thumblab_pipelines.videos.deletion import delete_videos


def publish_others(lab: Lab, count: int = 4, views: float = 1_000) -> None:
    """Store `count` videos from which the channel's trend can be computed. They were published before the predictions.

    Each video has `views` views at the age of a week. No prediction is about the pictures of these videos.
    """
    for number in range(count):
        publish(lab, f"other_{number}", f"picture {number}", views, days=-10 - number)


@pytest.mark.parametrize("picture", ["b", "near a"])
def test_a_published_candidate_gets_the_log_views_above_the_trend_of_its_channel(lab: Lab, picture: str) -> None:
    prediction = predict(lab, "a", "b" if picture == "b" else "c")
    publish_others(lab)
    publish(lab, "video", picture, views=2_718.2818)
    assert join_outcomes(lab) == Joined(1, 1, 0, 1, 1)
    position = 2 if picture == "b" else 1
    assert outcomes(lab, "prediction_id", "position", "video_id", "result", "age_hours") == [
        (prediction.prediction_id, position, "video", "published", 168)
    ]
    assert outcomes(lab, "excess") == [(pytest.approx(1.0, abs=1e-4),)]


def test_the_views_are_unknown_without_a_count_at_a_week_or_three_other_videos(lab: Lab) -> None:
    predict(lab, "a", "b")
    publish_others(lab, 2)
    publish(lab, "counted", "a", views=5_000)
    publish(lab, "uncounted", "b")
    assert join_outcomes(lab) == Joined(1, 1, 0, 1, 0)
    assert sorted(outcomes(lab, "video_id", "excess", "age_hours")) == [
        ("counted", None, None),
        ("uncounted", None, None),
    ]


def test_views_of_another_definition_are_not_part_of_the_trend(lab: Lab) -> None:
    predict(lab, "a", "b")
    publish_others(lab)
    with lab.engine.begin() as connection:
        connection.execute(update(views_at_age).values(era="qualified"))
    publish(lab, "video", "a", views=5_000)
    join_outcomes(lab)
    assert outcomes(lab, "video_id", "excess") == [("video", None)]


NOT_JOINED: dict[str, dict[str, Any]] = {
    "published before the prediction": {"days": -1.0},
    "of another channel": {"channel_id": "UC" + "b" * 22},
    "with another picture": {"picture": "far from a"},
    "a Short": {"format": "short"},
}


@pytest.mark.parametrize("name", NOT_JOINED)
def test_a_video_with_another_picture_is_not_joined(lab: Lab, name: str) -> None:
    predict(lab, "a", "c")
    publish_others(lab)
    publish(lab, "video", **({"picture": "a", "views": 5_000.0} | NOT_JOINED[name]))
    join_outcomes(lab)
    assert outcomes(lab, "video_id") == []


def test_a_picture_that_two_candidates_show_is_not_joined(lab: Lab) -> None:
    predict(lab, "near a", "a", "b")
    predict(lab, "a", "a", "b")
    publish_others(lab)
    publish(lab, "video", "a", views=5_000)
    join_outcomes(lab)
    assert outcomes(lab, "position") == []


# The views at the age of a week are interpolated between counts at the ages of 160 and 170 hours, which is 7.08 days.
@pytest.mark.parametrize(("day", "known"), [(2.0, False), (7.05, False), (9.0, True)])
def test_views_of_a_changed_video_count_only_if_the_change_came_after_both_counts_of_the_week(
    lab: Lab, day: float, known: bool
) -> None:
    predict(lab, "a", "b")
    publish_others(lab)
    publish(lab, "video", "a", views=5_000)
    changed = SCORED + timedelta(days=1 + day)
    with lab.engine.begin() as connection:
        of_video = thumbnail_versions.c.video_id == "video"
        connection.execute(update(thumbnail_versions).where(of_video).values(last_seen=changed))
    show(lab, "video", "b", changed + timedelta(hours=1))
    join_outcomes(lab)
    ((position, excess),) = outcomes(lab, "position", "excess")
    assert (position, excess is not None) == (1, known)


def test_a_video_whose_first_picture_was_deleted_is_not_joined(lab: Lab) -> None:
    predict(lab, "a", "b")
    publish_others(lab)
    publish(lab, "video", "a", views=5_000)
    with lab.engine.begin() as connection:
        connection.execute(update(thumbnail_versions).values(earlier_deleted=True))
    join_outcomes(lab)
    assert outcomes(lab, "video_id") == []


def test_an_outcome_is_deleted_with_its_video_and_the_prediction_stays(lab: Lab) -> None:
    predict(lab, "a", "b")
    publish_others(lab)
    publish(lab, "video", "a", views=5_000)
    join_outcomes(lab)
    with lab.engine.begin() as connection:
        delete_videos(connection, ["video"])
    assert outcomes(lab, "video_id") == []
    assert join_outcomes(lab) == Joined(1, 1, 0, 0, 0)


def test_a_video_that_is_deleted_while_outcomes_are_joined_is_left_out(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(lab, "a", "b")
    publish_others(lab)
    publish(lab, "video", "a", views=5_000)
    read = join.video_outcomes

    def read_and_delete(*given: Any) -> Any:
        found = read(*given)
        with lab.engine.begin() as other:
            # Without this limit, a lock on the table of outcomes would let the test wait for ever.
            other.execute(text("SET LOCAL lock_timeout = '2s'"))
            assert delete_videos(other, ["video"]) == 1
        return found

    monkeypatch.setattr(join, "video_outcomes", read_and_delete)
    assert join_outcomes(lab) == Joined(1, 1, 0, 0, 0)
    assert outcomes(lab, "video_id") == []
