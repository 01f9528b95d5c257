"""Test the field `why` of an answer, which explains the score of each candidate."""

import math

import numpy as np
import pytest

from thumblab_core.ranking.familiarity import Familiarity
from thumblab_core.ranking.trained_ranker import TrainedRanker
from thumblab_core.releases.release import ALL, MODEL

KINDS = ["picture", "title", "match", "channel"]
TITLES = ["I tested every phone under $200", "Do not buy this phone"]


def why_by_rank(answer):
    return [thumbnail["why"] for thumbnail in sorted(answer["thumbnails"], key=lambda t: t["rank"])]


def differences(why):
    return {part["of"]: part["difference"] for part in why["contributions"]}


@pytest.mark.parametrize("channel", [{}, {"channel_id": "UCown"}], ids=["plain", "adapted"])
def test_each_candidate_is_compared_with_the_winner_and_the_winner_with_the_second(service, lab, draw, channel):
    answer = service.score(*[draw(n) for n in range(4)], **channel)
    by_rank = {thumbnail["rank"]: thumbnail for thumbnail in answer["thumbnails"]}
    why = why_by_rank(answer)
    assert [one["against"] for one in why] == [by_rank[2]["id"]] + [answer["winner"]] * 3
    calibration = TrainedRanker.load(lab.store.serving.current(MODEL, ALL)).calibration
    slope = calibration.slope_of(adapted=bool(channel))
    for place, one in enumerate(why, 1):
        assert [part["of"] for part in one["contributions"]] == KINDS
        assert sum(differences(one).values()) == pytest.approx(one["difference"])
        assert (one["difference"] > 0) is (place == 1)
        assert sum(abs(part["share"]) for part in one["contributions"]) == pytest.approx(1)
        rival = answer["winner"] if place > 1 else by_rank[2]["id"]
        chances = [t["win_probability"] for t in answer["thumbnails"] if t["id"] in (by_rank[place]["id"], rival)]
        assert abs(slope * one["difference"]) == pytest.approx(abs(math.log(chances[0] / chances[1])), abs=1e-3)
        assert one["unknown"] is None
        assert one["summary"].startswith(f"Compared with {one['against']}, ")
    assert {differences(one)["title"] for one in why} == {0}
    assert all((differences(one)["channel"] != 0) is bool(channel) for one in why)


def test_the_title_contributes_to_the_score_of_a_package(service, draw):
    files = [("thumbnails", (f"p{n}.jpg", draw(n), "image/jpeg")) for n in range(3)]
    answer = service.client.post("/v1/score", data={"titles": TITLES}, files=files)
    packages = answer.json()["packages"]
    second = next(package for package in packages["grid"] if package["rank"] == 2)
    why = packages["why"]
    assert (why["against"], why["against_title"]) == (second["thumbnail"], second["title"])
    assert why["difference"] > 0
    assert sum(differences(why).values()) == pytest.approx(why["difference"])
    assert (differences(why)["title"] != 0) is (second["title"] != packages["best_title"])
    assert f"Compared with “{second['title']}” with {second['thumbnail']}, " in why["summary"]
    for package in packages["grid"]:
        one = package["why"]
        if package["rank"] == 1:
            assert one == why
            continue
        assert (one["against"], one["against_title"]) == (packages["best_thumbnail"], packages["best_title"])
        assert one["difference"] < 0
        assert sum(differences(one).values()) == pytest.approx(one["difference"])
        assert (differences(one)["title"] != 0) is (package["title"] != packages["best_title"])


def test_without_proven_skill_the_contributions_are_unknown_and_the_answer_says_why(unproven_lab, run, draw):
    with run(unproven_lab.settings) as service:
        answer = service.score(draw(1), draw(2))
    for why in why_by_rank(answer):
        assert (why["contributions"], why["difference"], why["against"]) == ([], None, None)
        assert "not shown to order such pictures better than chance" in why["unknown"]
        assert why["summary"] == f"Unknown: {why['unknown']}."


def test_a_single_candidate_is_compared_with_no_other(service, draw):
    [alone] = why_by_rank(service.score(draw(1)))
    assert "no other candidate" in alone["unknown"]
    twins = why_by_rank(service.score(draw(1), draw(1)))
    assert ["near-identical" in why["unknown"] for why in twins] == [True, True]


def test_the_members_of_the_winning_group_are_compared_with_the_best_other_picture(service, draw):
    answer = service.score(draw(2), draw(2), draw(1))
    assert [thumbnail["rank"] for thumbnail in answer["thumbnails"]] == [1, 1, 2]
    assert [thumbnail["why"]["against"] for thumbnail in answer["thumbnails"]] == ["p2.jpg", "p2.jpg", "p0.jpg"]


def test_a_picture_that_the_model_does_not_know_is_not_explained(new_lab, run, draw):
    lab = new_lab()
    lab.promote(lab.index("tech"))
    lab.promote(lab.model(familiar=Familiarity(np.eye(1, 768, dtype=np.float16), 1.5)))
    with run(lab.settings) as service:
        answer = service.score(draw(1), draw(2))
    assert answer["verdict"] == "no_verdict"
    assert all("unlike every picture" in thumbnail["why"]["unknown"] for thumbnail in answer["thumbnails"])
