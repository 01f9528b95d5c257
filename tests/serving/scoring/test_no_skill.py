"""Test answers of a model whose skill is not proven.

Such an answer names no winner, and orders its candidates by evidence.
"""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from sqlalchemy import create_engine
from stored_library import fill

from thumblab_core.encoders.load import named_image_encoder
from thumblab_core.images import decode
from thumblab_core.ranking.familiarity import Familiarity
from thumblab_core.sub_scores import NAMES
from thumblab_core.sub_scores.distribution import ScoreDistribution

CHANCE = {"skills": dict.fromkeys(("future", "new_channels", "adapted"), (0.55, 0.48, 0.62))}
UNPROVEN = {
    "chance": CHANCE,
    "not evaluated": {"skills": {}},
    "no interval": {"skills": {"new_channels": (0.7, None, None)}},
    "evaluated on another question": {"questions": [("package", "all")]},
    "worse than chance": {"skills": {"new_channels": (0.4, 0.3, 0.49)}},
}


@pytest.fixture(scope="module")
def changing(unproven_lab, run):
    """A running service whose model's skill is not proven. A test may promote another model in its lab."""
    with run(unproven_lab.settings) as service:
        service.lab = unproven_lab
        yield service


def says(answer, words):
    return [sentence for sentence in answer["degraded"] if words in sentence]


def common_percentiles(thumbnails):
    """Return the percentiles of each thumbnail by name. Leave out a percentile that any of the thumbnails lacks."""
    placed = [
        {name: sub["niche_percentile"] for name, sub in t["sub_scores"].items()} | {"similarity": t["similarity_score"]}
        for t in thumbnails
    ]
    common = [name for name in placed[0] if all(of[name] is not None for of in placed)]
    return [{name: of[name] for name in common} for of in placed]


def in_order(answer):
    return sorted(answer["thumbnails"], key=lambda thumbnail: thumbnail["rank"])


@pytest.mark.parametrize("evaluated", UNPROVEN.values(), ids=UNPROVEN.keys())
def test_an_answer_without_proven_skill_has_no_winner_and_is_ordered_by_evidence(changing, draw, evaluated):
    changing.lab.promote(changing.lab.model(evaluated=evaluated))
    answer = changing.score(*[draw(n) for n in range(5)])
    assert (answer["verdict"], answer["winner"], answer["confidence"]) == ("no_skill", None, None)
    assert answer["ordered_by"] == "evidence"
    thumbnails = answer["thumbnails"]
    assert {t["win_probability"] for t in thumbnails} == {None}
    means = [np.mean(list(percentiles.values())) for percentiles in common_percentiles(thumbnails)]
    assert [t["evidence_mean"] for t in thumbnails] == pytest.approx(means, abs=1e-5)
    assert [t["rank"] for t in thumbnails] == (np.argsort(np.argsort(-np.array(means))) + 1).tolist()
    assert says(answer, "so it names no winner")
    [order] = says(answer, "the thumbnails are ordered by evidence")
    assert "(clarity, prominence, contrast, emotion, hierarchy, similarity to the library)" in order
    assert "was not shown to predict views" in order


def test_the_measured_skill_stays_in_an_answer_without_a_winner(changing, draw):
    changing.lab.promote(changing.lab.model(evaluated=CHANCE))
    answer = changing.score(draw(1), draw(2))
    assert answer["skill"]["summary"].startswith("On unseen channels, the model ordered 55 % of 1,000 held-out pairs")


def test_a_proven_model_names_a_winner_and_has_no_evidence_mean(service, draw):
    answer = service.score(draw(1), draw(2))
    assert (answer["ordered_by"], answer["near_identical"]) == ("model", [])
    assert answer["winner"] in ("p0.jpg", "p1.jpg")
    assert {t["evidence_mean"] for t in answer["thumbnails"]} == {None}
    assert not says(answer, "evidence")


def test_whether_there_is_a_winner_depends_on_the_channel_of_the_request(changing, draw):
    good, chance = (0.7, 0.65, 0.75), (0.5, 0.45, 0.55)
    skills = {"future": good, "new_channels": chance, "adapted": chance}
    model = changing.lab.promote(changing.lab.model(evaluated={"skills": skills}, channels=("UCown", "UCboth")))
    changing.lab.add_adapter("UCadded", model)
    # The model was also trained on the channel `UCboth`. The newer adapter must not change how this channel's
    # candidates are ordered.
    changing.lab.add_adapter("UCboth", model)
    expected = {"UCown": "model", "UCboth": "model", "UCadded": "evidence", "UCstranger": "evidence"}
    for channel, ordered_by in expected.items():
        answer = changing.score(draw(1), draw(2), channel_id=channel)
        assert answer["ordered_by"] == ordered_by, channel
        assert (answer["winner"] is None) == (ordered_by == "evidence"), channel


def test_only_percentiles_that_every_picture_has_are_evidence(changing, draw):
    changing.lab.promote(changing.lab.model(evaluated=CHANCE))
    lettered = _with_text("SECRET")
    alone = changing.score(lettered, lettered)
    assert alone["thumbnails"][0]["sub_scores"]["title_match"]["niche_percentile"] is not None
    assert "title_match" in says(alone, "ordered by evidence")[0]
    answer = changing.score(lettered, draw(1), draw(2))
    assert "title_match" not in says(answer, "ordered by evidence")[0]
    means = [np.mean(list(of.values())) for of in common_percentiles(answer["thumbnails"])]
    assert [t["evidence_mean"] for t in answer["thumbnails"]] == pytest.approx(means, abs=1e-5)


def test_a_picture_that_cannot_be_read_does_not_change_the_order_of_the_others(changing, draw, alike):
    changing.lab.promote(changing.lab.model(evaluated=CHANCE))
    pictures = [draw(n) for n in range(3)]
    whole, with_bad = changing.score(*pictures), changing.score(*pictures, b"no picture")
    assert alike(with_bad["thumbnails"][:3], whole["thumbnails"])
    assert with_bad["thumbnails"][3]["rank"] is None
    assert (with_bad["verdict"], with_bad["ordered_by"]) == ("no_skill", "evidence")


def test_pictures_unfamiliar_to_the_model_are_ordered_by_evidence_like_the_others(changing, draw):
    # A picture is familiar if its largest cosine with a training picture is at least a threshold. This model has the
    # threshold 1.5, which no cosine reaches.
    nothing = Familiarity(np.eye(1, 768, dtype=np.float16), 1.5)
    changing.lab.promote(changing.lab.model(evaluated=CHANCE, familiar=nothing))
    answer = changing.score(draw(1), draw(2))
    assert (answer["verdict"], answer["ordered_by"]) == ("no_skill", "evidence")
    assert [(t["familiar"], t["score"]) for t in answer["thumbnails"]] == [(False, None)] * 2
    assert [t["rank"] for t in in_order(answer)] == [1, 2]
    [sentence] = says(answer, "unlike every picture that the model was trained on")
    assert "not ranked" not in sentence


def test_a_single_picture_has_no_winner_and_no_order_to_explain(changing, draw):
    changing.lab.promote(changing.lab.model(evaluated=CHANCE))
    for pictures in ([draw(1)], [draw(1), b"no picture"]):
        answer = changing.score(*pictures)
        assert (answer["verdict"], answer["winner"], answer["confidence"]) == ("only_one", None, None)
        assert answer["thumbnails"][0]["rank"] == 1
        assert not says(answer, "the thumbnails are")
    unreadable = changing.score(b"no picture")
    assert (unreadable["verdict"], unreadable["ordered_by"]) == (None, None)


def test_a_library_measured_by_another_version_leaves_the_similarity_as_evidence(changing, draw):
    older = ScoreDistribution.of("older", 40, dict.fromkeys(NAMES, [0.5] * 40))
    changing.lab.promote(changing.lab.model(evaluated=CHANCE))
    changing.lab.promote(changing.lab.index("gaming", scores=older))
    answer = changing.score(draw(1), draw(2), draw(3), category="gaming")
    assert "(similarity to the library)" in says(answer, "ordered by evidence")[0]
    for thumbnail in answer["thumbnails"]:
        assert thumbnail["evidence_mean"] == pytest.approx(thumbnail["similarity_score"], abs=1e-5)


def test_without_any_library_nothing_is_ordered_and_the_answer_says_so(changing, draw):
    changing.lab.promote(changing.lab.model(evaluated=CHANCE))
    answer = changing.score(draw(1), draw(2), category="beauty")
    assert (answer["verdict"], answer["winner"], answer["ordered_by"]) == ("no_skill", None, None)
    assert [(t["rank"], t["evidence_mean"]) for t in answer["thumbnails"]] == [(None, None)] * 2
    assert says(answer, "the thumbnails are not ordered: no measurement has a percentile for all of them")


def test_without_an_index_the_similarity_to_the_library_in_the_database_is_the_evidence(
    new_lab, run, draw, migrated_database
):
    url = migrated_database()
    encoder = named_image_encoder("builtin", new_lab().settings.releases)
    engine = create_engine(url)
    fill(engine, encoder.encode_images([decode(draw(n)).pixels for n in range(100, 184)]), encoder.fingerprint)
    engine.dispose()
    lab = new_lab(database_url=url)
    lab.promote(lab.model(evaluated=CHANCE))
    with run(lab.settings, wait=False) as service:
        answer = service.score(draw(1), draw(2), draw(3))
    assert {t["similarity_source"] for t in answer["thumbnails"]} == {"pgvector"}
    assert answer["ordered_by"] == "evidence"
    assert "(similarity to the library)" in says(answer, "ordered by evidence")[0]
    similarities = [t["similarity_score"] for t in in_order(answer)]
    assert similarities == sorted(similarities, reverse=True)


def _with_text(text):
    image = Image.new("RGB", (640, 360), (20, 60, 110))
    ImageDraw.Draw(image).text((60, 120), text, fill="white", font=ImageFont.load_default(size=100))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
