"""Test answers for several titles, for titles of single pictures, and for several niches."""

import base64
from dataclasses import replace

import pytest

TITLES = ["I tested every phone under $200", "The best cheap phone of the year", "Do not buy this phone"]
GOOD = dict.fromkeys(("future", "new_channels", "adapted"), (0.7, 0.65, 0.75))
CHANCE = dict.fromkeys(("future", "new_channels", "adapted"), (0.55, 0.48, 0.62))


@pytest.fixture
def ask():
    """Return a function that sends pictures in JSON and returns the answer."""

    def send(service, thumbnails, **fields):
        body = {
            "thumbnails": [
                {"id": name, "image_base64": base64.b64encode(data).decode()} for name, data in thumbnails.items()
            ],
            **fields,
        }
        for thumbnail, title in zip(body["thumbnails"], body.pop("own", [None] * len(thumbnails)), strict=True):
            thumbnail |= {} if title is None else {"title": title}
        reply = service.client.post("/v1/score", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    return send


def cell(answer, title, thumbnail):
    found = [c for c in answer["packages"]["grid"] if (c["title"], c["thumbnail"]) == (title, thumbnail)]
    assert len(found) == 1
    return found[0]


def test_every_title_is_compared_with_every_picture(service, draw, ask):
    pictures = {f"p{n}": draw(n) for n in range(4)}
    packages = ask(service, pictures, titles=TITLES)["packages"]
    grid = packages["grid"]
    assert [(c["title"], c["thumbnail"]) for c in grid] == [(t, p) for t in TITLES for p in pictures]
    assert sum(c["win_probability"] for c in grid) == pytest.approx(1)
    in_order = sorted(grid, key=lambda c: c["rank"])
    assert [c["rank"] for c in in_order] == list(range(1, 13))
    chances = [c["win_probability"] for c in in_order]
    assert chances == sorted(chances, reverse=True)
    best, second = in_order[:2]
    assert (packages["best_title"], packages["best_thumbnail"]) == (best["title"], best["thumbnail"])
    for other in in_order[1:]:
        beaten = best["win_probability"] / (best["win_probability"] + other["win_probability"])
        assert other["margin"] == pytest.approx(beaten, abs=1e-6)
    assert best["margin"] == packages["confidence"] == pytest.approx(second["margin"])
    assert packages["probabilities_from"] == "packages"
    assert packages["skill"]["question"] == "package"


def test_the_answer_next_to_the_grid_equals_a_request_with_the_first_title(service, draw, ask, alike):
    pictures = {f"p{n}": draw(n) for n in range(3)}
    several, single = ask(service, pictures, titles=TITLES), ask(service, pictures, title=TITLES[0])
    packages = several.pop("packages")
    assert single.pop("packages") is None
    assert alike(several, single)
    assert (single["question"], single["skill"]["question"]) == ("one_title", "one_title")
    for title, under in zip(TITLES, packages["under_titles"], strict=True):
        alone = ask(service, pictures, title=title)
        assert under["title"] == title
        assert alike(
            [under[k] for k in ("winner", "verdict", "confidence")],
            [alone[k] for k in ("winner", "verdict", "confidence")],
        )
        scores = [cell({"packages": packages}, title, name)["score"] for name in pictures]
        assert alike(scores, [thumbnail["score"] for thumbnail in alone["thumbnails"]])


def test_one_title_in_a_list_is_answered_like_a_title(service, draw, ask, alike):
    pictures = {"a": draw(1), "b": draw(2)}
    assert alike(ask(service, pictures, titles=TITLES[:1]), ask(service, pictures, title=TITLES[0]))


def test_the_grid_needs_the_skill_for_packages_and_each_title_the_skill_for_pictures(changing, draw, ask):
    pictures = {"a": draw(1), "b": draw(2)}
    changing.lab.promote(changing.lab.model(evaluated={"skills": GOOD, "package_skills": CHANCE}))
    answer = ask(changing, pictures, titles=TITLES)
    packages = answer["packages"]
    assert (packages["verdict"], packages["best_title"], packages["best_thumbnail"]) == ("no_skill", None, None)
    assert {(c["rank"], c["win_probability"], c["margin"]) for c in packages["grid"]} == {(None, None, None)}
    assert all(c["score"] is not None for c in packages["grid"])
    assert [under["winner"] is None for under in packages["under_titles"]] == [False] * 3
    assert answer["winner"] is not None
    [doubt] = [sentence for sentence in answer["degraded"] if "so it names no best package" in sentence]
    assert "55 % of 1,000 held-out pairs of videos" in doubt
    assert packages["first_title_limits"] == [], "the limits of the grid must not be in the answer for the first title"

    changing.lab.promote(changing.lab.model(evaluated={"skills": CHANCE, "package_skills": GOOD}))
    answer = ask(changing, pictures, titles=TITLES)
    packages = answer["packages"]
    assert packages["best_title"] in TITLES
    assert [(under["winner"], under["verdict"]) for under in packages["under_titles"]] == [(None, "no_skill")] * 3
    assert (answer["winner"], answer["verdict"]) == (None, "no_skill")
    limits = packages["first_title_limits"]
    assert ["so it names no winner" in sentence for sentence in limits] == [True, False]
    assert "ordered by evidence" in limits[1]
    assert set(limits) < set(answer["degraded"])
    assert not [sentence for sentence in answer["degraded"] if "best package" in sentence]


def past(low):
    return {"adapted": 0.72, "adapted_low": low, "adapted_high": 0.8, "pairs": 300, "videos": 60}


def test_a_channels_own_past_proves_packages_where_no_other_channels_can(changing, draw, ask):
    pictures = {"a": draw(1), "b": draw(2)}
    few = {split: skill for split, skill in GOOD.items() if split != "adapted"}
    model = changing.lab.promote(changing.lab.model(evaluated={"skills": few, "package_skills": few}))
    changing.lab.add_adapter("UCpast", model, check=past(0.61))
    answer = ask(changing, pictures, titles=TITLES, channel_id="UCpast")
    packages = answer["packages"]
    assert packages["best_title"] in TITLES
    assert packages["skill"]["measured_on"] == "own_past"
    assert packages["skill"]["summary"] == (
        "On the newest videos of this channel, the model ordered 72 % of 300 held-out pairs of videos of 1 channel "
        "(95 % interval 61 to 80 %) correctly."
    )
    assert (answer["winner"], answer["verdict"]) == (None, "no_skill"), (
        "the package skill applies, because the videos had different titles"
    )

    changing.lab.add_adapter("UCpast", model, check=past(0.49))
    answer = ask(changing, pictures, titles=TITLES, channel_id="UCpast")
    assert answer["packages"]["verdict"] == "no_skill"
    assert any("on the newest videos of this channel this model was not shown" in s for s in answer["degraded"])

    changing.lab.add_adapter("UCpast", model, check={"auc": 0.8})
    answer = ask(changing, pictures, titles=TITLES, channel_id="UCpast")
    assert (answer["packages"]["verdict"], answer["packages"]["skill"]) == ("no_skill", None)


def test_the_skill_on_other_channels_with_adapters_counts_before_the_own_past(changing, draw, ask):
    model = changing.lab.promote(changing.lab.model(evaluated={"skills": GOOD, "package_skills": CHANCE}))
    changing.lab.add_adapter("UCpast", model, check=past(0.61))
    answer = ask(changing, {"a": draw(1), "b": draw(2)}, titles=TITLES, channel_id="UCpast")
    assert answer["packages"]["skill"]["measured_on"] == "adapted"


def test_pictures_with_titles_of_their_own_are_judged_as_packages(changing, draw, ask):
    pictures = {"a": draw(1), "b": draw(2)}
    changing.lab.promote(changing.lab.model(evaluated={"skills": CHANCE, "package_skills": GOOD}))
    answer = ask(changing, pictures, title=TITLES[0], own=[None, TITLES[1]])
    assert [thumbnail["title"] for thumbnail in answer["thumbnails"]] == TITLES[:2]
    assert (answer["question"], answer["skill"]["question"]) == ("package", "package")
    assert answer["winner"] in pictures
    assert (answer["test_plan"], answer["packages"]) == (None, None)
    assert answer["probabilities_from"] == "packages"
    changing.lab.promote(changing.lab.model(evaluated={"skills": GOOD, "package_skills": CHANCE}))
    unproven = ask(changing, pictures, title=TITLES[0], own=[None, TITLES[1]])
    assert (unproven["verdict"], unproven["winner"], unproven["ordered_by"]) == ("no_skill", None, "evidence")


def test_own_titles_that_are_all_the_same_are_one_title(service, draw, ask, alike):
    pictures = {"a": draw(1), "b": draw(2)}
    own = ask(service, pictures, title=TITLES[0], own=[TITLES[1], TITLES[1]])
    assert own["question"] == "one_title"
    assert alike(own, ask(service, pictures, title=TITLES[1]))


def test_a_picture_with_a_title_of_its_own_makes_one_package(service, draw, ask):
    pictures = {"a": draw(1), "b": draw(2)}
    answer = ask(service, pictures, titles=TITLES[:2], own=[None, TITLES[2]])
    grid = [(c["title"], c["thumbnail"]) for c in answer["packages"]["grid"]]
    assert grid == [(TITLES[0], "a"), (TITLES[1], "a"), (TITLES[2], "b")]
    assert [under["winner"] for under in answer["packages"]["under_titles"]] == ["a", "a"]
    assert answer["question"] == "package"


def test_near_identical_pictures_share_the_chance_of_a_package_but_not_across_titles(service, draw, ask):
    pictures = {"a": draw(1), "again": draw(1), "b": draw(2)}
    answer = ask(service, pictures, titles=TITLES[:2])
    for title in TITLES[:2]:
        first, second = cell(answer, title, "a"), cell(answer, title, "again")
        assert first["rank"] == second["rank"]
        assert first["win_probability"] == pytest.approx(second["win_probability"])
    assert {c["rank"] for c in answer["packages"]["grid"]} == {1, 2, 3, 4}
    apart = ask(service, {"a": draw(1), "again": draw(1)}, title=TITLES[0], own=[None, TITLES[1]])
    assert apart["near_identical"] == []
    assert sorted(thumbnail["rank"] for thumbnail in apart["thumbnails"]) == [1, 2]


def test_an_unreadable_picture_is_not_in_the_grid_and_stops_no_other(service, draw, ask):
    answer = ask(service, {"a": draw(1), "bad": b"no picture"}, titles=TITLES)
    assert {c["thumbnail"] for c in answer["packages"]["grid"]} == {"a"}
    assert answer["thumbnails"][1]["error"]
    nothing = ask(service, {"bad": b"no picture"}, titles=TITLES)
    assert (nothing["packages"]["grid"], nothing["packages"]["verdict"]) == ([], None)


def test_an_adapted_grid_uses_the_channel(service, draw, ask):
    pictures = {f"p{n}": draw(n) for n in range(3)}
    own, other = (ask(service, pictures, titles=TITLES, channel_id=channel) for channel in ("UCown", "UCother"))
    assert own["packages"]["skill"]["measured_on"] == "future"
    assert other["packages"]["skill"]["measured_on"] == "new_channels"
    assert own["packages"]["grid"] != other["packages"]["grid"]


def test_a_form_gives_the_same_answer_as_json(service, draw, ask, alike):
    pictures = {"p0.jpg": draw(1), "p1.jpg": draw(2)}
    files = [("thumbnails", (name, data, "image/jpeg")) for name, data in pictures.items()]
    data = {"titles": TITLES, "categories": ["tech", "gaming"], "thumbnail_titles": ["", "Its own title"]}
    reply = service.client.post("/v1/score", data=data, files=files)
    assert reply.status_code == 200, reply.text
    expected = ask(service, pictures, titles=TITLES, categories=["tech", "gaming"], own=[None, "Its own title"])
    assert alike(reply.json(), expected)
    few = service.client.post("/v1/score", data=data | {"thumbnail_titles": ["one"]}, files=files)
    assert few.status_code == 422
    assert few.json()["detail"].startswith("thumbnail_titles: 1 titles are sent for 2 files")


def test_each_niche_gets_the_answer_that_it_gets_alone(service, draw, ask, alike, images):
    images["bodies"]["/niche.jpg"] = draw(7)
    images["asked"].clear()
    thumbnails = [{"id": "a", "url": f"http://{images['host']}/niche.jpg"}]
    reply = service.ask(thumbnails, categories=["tech", "gaming", "news"])
    assert reply.status_code == 200, reply.text
    assert images["asked"] == ["/niche.jpg"]
    answer = reply.json()
    others = answer.pop("other_niches")
    assert [answer["niche"], *(other["niche"] for other in others)] == ["tech", "gaming", "news"]
    for one in (answer, *others):
        alone = service.ask(thumbnails, category=one["niche"]).json()
        assert alone.pop("other_niches") == []
        one.pop("other_niches", None)
        assert alike(one, alone)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "give either title or titles"),
        ({"title": "t", "titles": ["u"]}, "give either title or titles"),
        ({"titles": []}, "titles"),
        ({"titles": ["t", "t"]}, "two of the titles are the same"),
        ({"titles": ["t", " "]}, "titles.1"),
        ({"titles": [f"t{n}" for n in range(11)]}, "titles"),
        ({"title": "t", "category": "tech", "categories": ["tech"]}, "give either category or categories"),
        ({"title": "t", "categories": ["tech", "tech"]}, "two of the categories are the same"),
        ({"title": "t", "categories": ["knitting"]}, "categories.0"),
        ({"title": "t", "thumbnails": [{"id": "a", "url": "u", "title": ""}]}, "thumbnails.0.title"),
    ],
)
def test_a_request_with_unclear_titles_or_niches_is_refused(service, fields, expected):
    body = {"thumbnails": [{"id": "a", "url": "https://i.ytimg.com/a"}]} | fields
    reply = service.client.post("/v1/score", json=body)
    assert reply.status_code == 422
    assert expected in reply.json()["detail"]


def test_packages_that_all_have_one_title_are_still_compared_as_packages(changing, draw, ask, monkeypatch):
    changing.lab.promote(changing.lab.model())
    pictures = {f"p{n}": draw(n) for n in range(3)}
    request = {"titles": TITLES[:2], "own": [TITLES[2]] * 3}
    before = ask(changing, pictures, **request)
    ranker = changing.app.state.scorer.releases.model.loaded.value
    slope = 3 * ranker.calibration.slope
    other = replace(ranker.calibration, one_title=(slope, slope), one_title_from=("videos", "videos"))
    monkeypatch.setitem(vars(ranker), "calibration", other)
    after = ask(changing, pictures, **request)
    assert after["packages"] == before["packages"]
    assert (after["question"], after["probabilities_from"]) == ("one_title", "videos")
    assert after["confidence"] > before["confidence"]
