"""Test the statements of an answer about the quality of its ranking. An answer leaves out what the model cannot
predict.
"""

import numpy as np
import pytest

from thumblab_core.images import decode
from thumblab_core.ranking.channel_adapters import ChannelAdapters
from thumblab_core.ranking.familiarity import Familiarity
from thumblab_serving.scoring.rank import merge_equal_scores, verdict_of

CHANCE = (0.498, 0.485, 0.626)
GOOD = (0.769, 0.759, 0.779)


def degraded_with(answer, words):
    return [sentence for sentence in answer["degraded"] if words in sentence]


def test_equal_pictures_keep_the_order_of_the_request(service, draw):
    for several in ([draw(3)] * 7, [draw(5), draw(3), draw(5), draw(5), draw(9), draw(5), draw(5)]):
        thumbnails = service.score(*several)["thumbnails"]
        for data in set(several):
            equal = [t for t, picture in zip(thumbnails, several, strict=True) if picture == data]
            assert [t["rank"] for t in equal] == sorted(t["rank"] for t in equal)
            assert len({(t["score"], t["win_probability"]) for t in equal}) == 1


def test_only_scores_that_differ_by_rounding_become_equal():
    noise = np.array([0.3, 0.3 + 3e-8, 0.9, 0.3 - 3e-8, 0.3002], np.float32)
    merged = merge_equal_scores(noise)
    assert merged[0] == merged[1] == merged[3]
    assert len(set(merged.tolist())) == 3


@pytest.mark.parametrize(
    ("chance", "word"),
    [
        (0.75 - 1e-12, "clear"), (0.745, "clear"), (0.7449, "leaning"), (0.6, "leaning"), (0.6 - 1e-9, "leaning"),
        (0.595, "leaning"), (0.5949, "too_close_to_call"), (0.5, "too_close_to_call"), (1.0, "clear"),
    ],
)  # fmt: skip
def test_the_verdict_follows_the_percentage_that_is_shown(chance, word):
    assert verdict_of(chance) == word


def test_the_answer_says_so_where_a_model_is_not_better_than_chance(changing, draw):
    lab = changing.lab
    lab.promote(lab.model(evaluated={"skills": {"future": GOOD, "new_channels": CHANCE}}, channels=("UCown",)))
    for asked in ({}, {"channel_id": "UCstranger"}):
        answer = changing.score(draw(1), draw(2), **asked)
        [sentence] = degraded_with(answer, "not shown to be better than chance")
        assert "on unseen channels" in sentence
        shown = "50 % of 1,000 held-out pairs of pictures under one title of 40 channels (95 % interval 48 to 63 %)"
        assert shown in sentence
        assert answer["skill"] == {
            "measured_on": "new_channels", "auc": 0.498, "low": 0.485, "high": 0.626, "pairs": 1_000, "channels": 40,
            "question": "one_title", "summary": f"On unseen channels, the model ordered {shown} correctly.",
        }  # fmt: skip
    known = changing.score(draw(1), draw(2), channel_id="UCown")
    assert (known["skill"]["measured_on"], known["skill"]["auc"]) == ("future", 0.769)
    assert not degraded_with(known, "chance")


def test_the_answer_has_no_warning_where_a_model_ranks_unseen_channels_well(changing, draw):
    changing.lab.promote(changing.lab.model(evaluated={"skills": {"new_channels": GOOD}}))
    answer = changing.score(draw(1), draw(2))
    assert answer["degraded"] == ["no face model: run `thumblab models pull`"]
    assert answer["skill"]["auc"] == 0.769


def test_the_answer_says_so_where_an_older_model_was_only_evaluated_on_whole_videos(changing, draw):
    evaluated = {"skills": {"new_channels": GOOD}, "questions": [("package", "all")]}
    changing.lab.promote(changing.lab.model(evaluated=evaluated))
    answer = changing.score(draw(1), draw(2))
    assert degraded_with(answer, "only evaluated on pairs of videos that differ in title and picture")
    assert answer["skill"]["question"] == "package"
    assert "held-out pairs of videos of 40 channels" in answer["skill"]["summary"]


def test_the_skill_is_that_of_experiments_where_the_model_was_evaluated_on_enough_of_them(changing, draw):
    questions = [("package", "all"), ("one_title", "residual"), ("one_video", "experiment")]
    changing.lab.promote(changing.lab.model(evaluated={"skills": {"new_channels": GOOD}, "questions": questions}))
    answer = changing.score(draw(1), draw(2))
    assert answer["skill"]["question"] == "one_video"
    assert "held-out pairs of pictures from experiments of 40 channels" in answer["skill"]["summary"]
    assert answer["ordered_by"] == "model"
    assert not degraded_with(answer, "only evaluated on pairs of videos")


def test_the_answer_says_so_where_a_model_was_not_evaluated(changing, draw):
    changing.lab.promote(changing.lab.model(evaluated={"skills": {}}))
    answer = changing.score(draw(1), draw(2))
    assert degraded_with(answer, "was not evaluated on unseen channels")
    assert answer["skill"] is None


@pytest.mark.parametrize(
    ("informed", "why"),
    [
        (None, "was not measured"),
        ({"correlation": 0.02, "low": -0.1, "videos": 300, "spread": 0.4}, "on 300 held-out videos"),
        ({"correlation": 0.4, "low": 0.3, "videos": 300, "spread": 0.004}, "the same for every thumbnail"),
    ],
)
def test_an_uninformative_engagement_is_left_out(changing, draw, informed, why):
    changing.lab.promote(changing.lab.model(evaluated={"engagement": informed}))
    answer = changing.score(draw(1), draw(2))
    assert [t["predicted_engagement"] for t in answer["thumbnails"]] == [None, None]
    [sentence] = degraded_with(answer, "predicted engagement is left out: ")
    assert why in sentence


def test_an_unfamiliar_picture_is_not_ranked_and_the_others_are(changing, draw):
    lab = changing.lab
    encoder = changing.app.state.scorer.releases.encoders()
    learnt = encoder.image("builtin").encode_images([decode(draw(n)).pixels for n in range(60)])
    familiar = Familiarity.of(learnt, np.array([f"c{n % 6}" for n in range(60)]))
    lab.promote(lab.model(familiar=familiar, channels=("UCown",)))
    strange = [_stripes(period) for period in (4, 6)]
    for asked in ({}, {"channel_id": "UCown"}):
        answer = changing.score(draw(70), strange[0], draw(71), **asked)
        first, unfamiliar, third = answer["thumbnails"]
        assert [first["familiar"], unfamiliar["familiar"], third["familiar"]] == [True, False, True]
        assert sorted([first["rank"], third["rank"]]) == [1, 2]
        assert first["win_probability"] + third["win_probability"] == pytest.approx(1)
        assert [unfamiliar[name] for name in ("rank", "score", "win_probability", "predicted_engagement")] == [None] * 4
        assert unfamiliar["sub_scores"]["clarity"]["value"] is not None
        assert answer["winner"] in ("p0.jpg", "p2.jpg")
        assert degraded_with(answer, "p1.jpg (")
        assert degraded_with(answer, "unlike every picture that the model was trained on")
        for pictures in (strange, [draw(70), strange[0]], strange[:1]):
            alone = changing.score(*pictures, **asked)
            assert (alone["verdict"], alone["winner"], alone["confidence"]) == ("no_verdict", None, None)
            assert {(t["rank"], t["win_probability"]) for t in alone["thumbnails"]} == {(None, None)}


def test_a_model_without_familiarity_says_so_and_ranks(changing, draw):
    changing.lab.promote(changing.lab.model(familiar=None))
    answer = changing.score(draw(1), draw(2))
    assert degraded_with(answer, "cannot tell whether a picture is unlike its training pictures")
    assert [t["familiar"] for t in answer["thumbnails"]] == [None, None]
    assert answer["winner"] is not None


def test_an_adapted_score_is_a_percentile_of_the_channels_own_scores(changing, draw):
    lab = changing.lab
    model = lab.promote(lab.model())
    lab.add_adapter("UCdeep", model, videos=40)
    lab.add_adapter("UCfew", model, videos=19)
    pictures = [draw(n) for n in range(20, 28)]
    plain, deep = changing.score(*pictures), changing.score(*pictures, channel_id="UCdeep")
    assert (plain["score_among"], deep["score_among"]) == ("niche", "channel")
    assert not degraded_with(deep, "no scores are given")
    scores = [t["score"] for t in deep["thumbnails"]]
    assert max(scores) - min(scores) > 40
    assert scores != [t["score"] for t in plain["thumbnails"]]
    few = changing.score(draw(1), draw(2), channel_id="UCfew")
    assert few["channel"]["adapted"] is True
    assert [t["score"] for t in few["thumbnails"]] == [None, None]
    assert degraded_with(few, "has 19 of the 20 videos")


def test_an_adapter_without_percentiles_gives_no_score_and_says_why(changing, draw, monkeypatch):
    from thumblab_core.ranking import adapters

    model = changing.lab.promote(changing.lab.model())
    with monkeypatch.context() as older:
        older.setattr(adapters, "LEAST_PLACED", 10_000)
        changing.lab.add_adapter("UColder", model, videos=24)
    answer = changing.score(draw(1), draw(2), channel_id="UColder")
    assert [t["score"] for t in answer["thumbnails"]] == [None, None]
    assert degraded_with(answer, "older version of the lab")
    ChannelAdapters(changing.lab.store).remove("UColder")


def test_without_near_winners_the_nearest_of_any_kind_are_listed(changing, draw):
    lab = changing.lab
    lab.promote(lab.model())
    lab.promote(lab.index("news", count=12))  # An index of 12 videos is too small to have winners.
    answer = changing.score(draw(1), draw(2), category="news")
    for thumbnail in answer["thumbnails"]:
        assert [n["winner"] for n in thumbnail["neighbours"]] == [False] * 5
    assert degraded_with(answer, "no winner of news is near p0.jpg, p1.jpg")
    winners = changing.score(draw(1), draw(2))
    assert {n["winner"] for t in winners["thumbnails"] for n in t["neighbours"]} == {True}
    assert not degraded_with(winners, "no winner of")


def _stripes(period):
    import io

    from PIL import Image

    image = (np.indices((180, 320))[0] // period % 2 * 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(image).convert("RGB").save(out, "PNG")
    return out.getvalue()
