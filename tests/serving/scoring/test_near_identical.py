"""Test answers about near-identical candidates. Each group of near-identical candidates counts as one candidate."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from thumblab_core.images import decode
from thumblab_core.images.perceptual import NEAR, Appearance, distance, perceptual_hash
from thumblab_serving.scoring.near_identical import count_groups_once, group_near_identical

CHANCE = {"skills": {"new_channels": (0.55, 0.48, 0.62)}}


def again(data, quality=60, size=None):
    """Return the picture as a new JPEG of the given quality. If `size` is given, the new picture has this size."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    out = io.BytesIO()
    (image if size is None else image.resize(size)).save(out, "JPEG", quality=quality)
    return out.getvalue()


def by_id(answer):
    return {thumbnail["id"]: thumbnail for thumbnail in answer["thumbnails"]}


def says(answer, words):
    return [sentence for sentence in answer["degraded"] if words in sentence]


def test_re_encoded_copies_are_one_group_and_the_answer_names_them(service, draw):
    answer = service.score(draw(1), draw(2), again(draw(1)), draw(3), again(draw(1), 80, (640, 360)))
    assert answer["near_identical"] == [["p0.jpg", "p2.jpg", "p4.jpg"]]
    [sentence] = says(answer, "near-identical")
    assert sentence.startswith("the pictures p0.jpg, p2.jpg and p4.jpg are near-identical: they count as one candidate")
    assert "a test of them would show nothing" in sentence


def test_different_pictures_are_in_no_group(service, draw):
    answer = service.score(*[draw(n) for n in range(20)])
    assert answer["near_identical"] == []
    assert not says(answer, "near-identical")
    assert sorted(t["rank"] for t in answer["thumbnails"]) == list(range(1, 21))


@pytest.mark.parametrize("copies", [2, 3, 5])
def test_a_group_has_the_chance_of_one_candidate_and_its_members_share_it_equally(service, draw, copies):
    pictures = [draw(n) for n in (1, 2, 3)]
    alone = by_id(service.score(*pictures))
    answer = service.score(*pictures, *[pictures[0]] * (copies - 1))
    thumbnails = answer["thumbnails"]
    assert len(answer["near_identical"]) == 1
    group = [t for t in thumbnails if t["id"] in answer["near_identical"][0]]
    assert len(group) == copies
    for member in group:
        assert member["rank"] == alone["p0.jpg"]["rank"]
        assert member["win_probability"] == pytest.approx(alone["p0.jpg"]["win_probability"] / copies, abs=1e-6)
    for name in ("p1.jpg", "p2.jpg"):
        other = by_id(answer)[name]
        assert other["rank"] == alone[name]["rank"]
        assert other["win_probability"] == pytest.approx(alone[name]["win_probability"], abs=1e-6)
    assert sum(t["win_probability"] for t in thumbnails) == pytest.approx(1)


def test_the_verdict_compares_the_best_group_with_the_next_other_candidate(service, draw):
    for first, second in ((1, 2), (4, 5), (6, 7), (8, 9)):
        alone = service.score(draw(first), draw(second))
        answer = service.score(draw(first), draw(first), draw(second), draw(second))
        assert answer["near_identical"] == [["p0.jpg", "p1.jpg"], ["p2.jpg", "p3.jpg"]]
        assert answer["confidence"] == pytest.approx(alone["confidence"], abs=1e-6)
        assert answer["verdict"] == alone["verdict"]
        assert answer["winner"] == {"p0.jpg": "p0.jpg", "p1.jpg": "p2.jpg"}[alone["winner"]]
        assert sorted(t["rank"] for t in answer["thumbnails"]) == [1, 1, 2, 2]


def test_the_winner_is_the_first_of_its_group_and_the_answer_says_that_the_group_won(service, draw):
    pair = service.score(draw(1), draw(2))
    best, other = (draw(1), draw(2)) if pair["winner"] == "p0.jpg" else (draw(2), draw(1))
    answer = service.score(other, best, again(best))
    assert answer["winner"] == "p1.jpg"
    assert says(answer, "p1.jpg and p2.jpg are near-identical: they count as one candidate, which is the winner")
    lost = service.score(other, again(other), best)
    assert lost["winner"] == "p2.jpg"
    assert says(lost, "near-identical") and not says(lost, "which is the winner")


def test_a_set_of_one_group_is_too_close_to_call(service, draw):
    for copies in (2, 3):
        answer = service.score(*[draw(1)] * copies)
        assert (answer["verdict"], answer["winner"]) == ("too_close_to_call", "p0.jpg")
        assert answer["confidence"] == pytest.approx(0.5)
        assert [t["win_probability"] for t in answer["thumbnails"]] == pytest.approx([1 / copies] * copies)
        assert {t["rank"] for t in answer["thumbnails"]} == {1}


def test_a_group_shares_the_rank_of_the_evidence_too(new_lab, run, draw):
    lab = new_lab()
    lab.promote(lab.index("tech"))
    lab.promote(lab.model(evaluated=CHANCE))
    with run(lab.settings) as service:
        answer = service.score(draw(1), draw(2), again(draw(1), 30), draw(3))
    assert answer["verdict"] == "no_skill"
    assert answer["near_identical"] == [["p0.jpg", "p2.jpg"]]
    first, second, copy, third = answer["thumbnails"]
    assert first["rank"] == copy["rank"]
    assert sorted([first["rank"], second["rank"], third["rank"]]) == [1, 2, 3]
    means = {(first["evidence_mean"] + copy["evidence_mean"]) / 2: first["rank"]}
    means |= {t["evidence_mean"]: t["rank"] for t in (second, third)}
    assert [means[mean] for mean in sorted(means, reverse=True)] == [1, 2, 3]
    assert says(answer, "p0.jpg and p2.jpg are near-identical: they count as one candidate, and a test")


def test_pictures_with_near_hashes_and_unlike_vectors_are_in_no_group(service, draw):
    plain = next(data for data in map(draw, range(40)) if _is_near(data, _lettered(data)))
    answer = service.score(plain, _lettered(plain))
    assert answer["near_identical"] == []


GREY = np.full((18, 32, 3), 128, np.int16)


def examined(vector, phash, words=None, colours=GREY):
    measurement = SimpleNamespace(evidence=SimpleNamespace(words=words))
    vectors = {"e": np.array(vector, np.float32)}
    return SimpleNamespace(vectors=vectors, appearance=Appearance(phash, colours), measurement=measurement)


def test_both_the_encoder_and_the_hash_must_call_two_pictures_near_identical():
    turned = [0.98, float(np.sqrt(1 - 0.98**2))]
    seven_bits = 2 ** (NEAR + 1) - 1
    pictures = {"a": examined([1, 0], 0), "near": examined(turned, 63)}
    assert group_near_identical(pictures, "e", 0.97) == [("a", "near")]
    assert group_near_identical(pictures, "e", 0.99) == []
    assert group_near_identical({"a": examined([1, 0], 0), "far": examined([1, 0], seven_bits)}, "e", 0.97) == []


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("FREE PHONE", "free phone", True),
        ("FREE PHONE", "NEW PHONE", False),
        ("FREE PHONE", "", False),
        ("A HOUSE", "A MOUSE", False),
        ("TOP 10 CARS OF 2024", "TOP 10 CARS OF 2025", False),
        ("DO NOT BUY THIS PHONE", "DO BUY THIS PHONE", False),
        ("OLD PHONE", "PHONE OLD", False),
        (None, "FREE PHONE", False),
        (None, None, True),
    ],
)
def test_pictures_with_other_words_are_in_no_group(first, second, same):
    other = GREY.copy()
    other[4, 8] += 40  # One part of the picture differs, as if a letter was replaced.
    pictures = {"a": examined([1, 0], 0, first), "b": examined([1, 0], 0, second, other)}
    assert bool(group_near_identical(pictures, "e", 0.97)) is same
    reread = {"a": examined([1, 0], 0, first), "b": examined([1, 0], 0, second)}
    assert group_near_identical(reread, "e", 0.97), (
        "the colours are the same, so different texts are an error of the text reader"
    )


def written(data, text):
    """Return a copy of the picture on which `text` is written in large letters near the upper edge."""
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((640, 360))
    ImageDraw.Draw(image).text((30, 20), text, "white", ImageFont.load_default(70), stroke_width=4, stroke_fill="black")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def test_a_picture_with_another_word_is_a_candidate_of_its_own(service, draw):
    first, second = written(draw(1), "FREE PHONE"), written(draw(1), "OLD CAMERA")
    answer = service.score(first, second, again(first))
    assert answer["near_identical"] == [["p0.jpg", "p2.jpg"]]


@pytest.mark.parametrize(("word", "other"), [("HOUSE", "MOUSE"), ("2024", "2025"), ("WIN", "WON")])
def test_a_picture_with_one_other_letter_is_a_candidate_of_its_own(service, draw, word, other):
    answer = service.score(written(draw(1), f"OLD {word}"), written(draw(1), f"OLD {other}"))
    assert answer["near_identical"] == []


def test_plain_pictures_of_two_colours_are_in_no_group(service):
    def plain(*colour):
        out = io.BytesIO()
        Image.new("RGB", (640, 360), colour).save(out, "PNG")
        return out.getvalue()

    answer = service.score(plain(255, 255, 255), plain(128, 128, 128), plain(200, 30, 30))
    assert answer["near_identical"] == []
    assert answer["test_plan"]["too_alike"] == []


def test_each_two_members_of_a_group_are_near_identical():
    pictures = {
        "a": examined([1, 0], 0),
        "x": examined([0, 1], 0),
        "b": examined([1, 0], 63),
        "c": examined([1, 0], 4095),
        "d": examined([1, 0], 4095 - 63),
    }
    # The pictures b and c are near-identical, but a and c are not. So c cannot join the group of a and b.
    assert group_near_identical(pictures, "e", 0.97) == [("a", "b"), ("c", "d")]


def test_equal_pictures_are_near_identical_even_by_an_encoder_with_the_threshold_1():
    vector = [0.6, 0.8000001]
    pictures = {"a": examined(vector, -5), "b": examined([0.6, 0.79999995], -5)}
    assert group_near_identical(pictures, "e", 1.0) == [("a", "b")]


def test_members_that_are_not_ranked_do_not_count():
    assert count_groups_once(["b", "c", "d"], [("a", "b"), ("c", "d")]) == [[0], [1, 2]]


def test_openapi_describes_the_new_fields(service):
    schemas = service.client.get("/openapi.json").json()["components"]["schemas"]
    answer, thumbnail = schemas["ScoreAnswer"]["properties"], schemas["ThumbnailScore"]["properties"]
    assert "evidence" in answer["ordered_by"]["description"]
    assert "perceptual hash" in answer["near_identical"]["description"]
    assert "not shown to predict views" in thumbnail["evidence_mean"]["description"]
    assert "no_skill" in schemas["Verdict"]["enum"]
    assert schemas["OrderedBy"]["enum"] == ["model", "evidence"]


def _lettered(data):
    image = Image.open(io.BytesIO(data)).convert("RGB")
    ImageDraw.Draw(image).text((20, 20), "LOOK", fill="yellow", font=ImageFont.load_default(size=36))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    return out.getvalue()


def _is_near(first, second):
    return distance(*[perceptual_hash(decode(data).pixels) for data in (first, second)]) <= NEAR
