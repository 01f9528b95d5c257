"""Test `thumblab score FOLDER|TABLE.csv --out FILE`, and several titles and niches in one command."""

import csv
import json
import os

import pytest

from thumblab_cli.scoring.score_requests import Defaults, folder_requests
from thumblab_serving.scoring.seen_people import SeenPeople

TITLE = "I tested every phone under $200"


@pytest.fixture
def folder(tmp_path, draw):
    """A folder with two pictures, a file that is no picture, and a subfolder with two pictures."""
    root = tmp_path / "pictures"
    (root / "video").mkdir(parents=True)
    for name, number in (("a.jpg", 1), ("b.png", 2), ("video/c.jpg", 3), ("video/d.jpg", 4)):
        (root / name).write_bytes(draw(number))
    (root / "notes.txt").write_text("no picture")
    return root


@pytest.fixture
def rows(tmp_path):
    def read():
        with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture
def score(within, service, tmp_path):
    """Return a function that runs `thumblab score`, which sends its requests to the service."""

    def run(*arguments, **settings):
        settings = {"THUMBLAB_SERVING_URL": service.url} | settings
        return within(*arguments, "--out", tmp_path / "results.csv", **settings)

    return run


def test_pictures_of_a_folder_are_scored_alone_and_those_of_a_subfolder_together(score, rows, folder, service):
    done = score(folder, "--title", TITLE, "--niche", "tech")
    assert done.exit_code == 0, done.stderr
    assert "Scored 3 requests." in done.stdout
    found = rows()
    assert [row["group"] for row in found] == ["a.jpg", "b.png", "video", "video"]
    assert [row["verdict"] for row in found[:2]] == ["only_one", "only_one"]
    pictures = [(folder / "video" / name).read_bytes() for name in ("c.jpg", "d.jpg")]
    alone = service.score(*pictures, title=TITLE)["thumbnails"]
    assert [float(row["score"]) for row in found[2:]] == pytest.approx([t["score"] for t in alone], rel=1e-4)
    assert [int(row["rank"]) for row in found[2:]] == [t["rank"] for t in alone]


def test_this_process_gives_the_same_results_as_the_service(score, rows, folder):
    score(folder, "--title", TITLE, "--niche", "tech")
    served = rows()
    (folder.parent / "results.csv").unlink()
    local = score(folder, "--title", TITLE, "--niche", "tech", "--local")
    assert local.exit_code == 0, local.stderr
    for one, other in zip(rows(), served, strict=True):
        assert float(one.pop("score")) == pytest.approx(float(other.pop("score")), rel=1e-3)
        same = ("request", "group", "thumbnail", "title", "rank", "verdict", "winner", "model", "index")
        assert {name: one[name] for name in same} == {name: other[name] for name in same}


def test_a_second_run_scores_only_new_rows(score, rows, folder, draw):
    arguments = (folder, "--title", TITLE, "--niche", "tech")
    score(*arguments)
    before = rows()
    assert "Scored 0 requests, 3 were done before." in score(*arguments).stdout
    assert rows() == before
    (folder / "new.jpg").write_bytes(draw(9))
    assert "Scored 1 requests, 3 were done before." in score(*arguments).stdout
    assert rows()[:4] == before
    assert rows()[4]["group"] == "new.jpg"


@pytest.mark.parametrize("kept", [0, 10, -1, -200, "a whole row of two"])
def test_a_run_that_was_stopped_while_it_wrote_continues(score, rows, folder, tmp_path, kept):
    arguments = (folder, "--title", TITLE, "--niche", "tech")
    score(*arguments)
    whole, results = rows(), tmp_path / "results.csv"
    text = results.read_text()
    results.write_text(text[:kept] if isinstance(kept, int) else text[: text.rindex("\n", 0, -1) + 1])
    if kept == 10:  # The header is incomplete, so the file may not be a results file.
        assert score(*arguments).exit_code == 1
        return
    done = score(*arguments)
    assert done.exit_code == 0, done.stderr
    assert sorted(row["thumbnail"] for row in rows()) == sorted(row["thumbnail"] for row in whole)


BREAKS = "\u2028 \u2029 \x85 \x0b \x0c \x1c \r \n \r\n"
"""The characters at which Python splits lines. Most of these characters are no line breaks in CSV."""


def test_a_name_with_any_line_break_loses_no_result(score, rows, folder):
    (folder / "a.jpg").rename(folder / f"a{BREAKS}z.jpg")
    arguments = (folder, "--title", TITLE, "--niche", "tech")
    assert score(*arguments).exit_code == 0
    before = rows()
    assert [row["group"] for row in before] == [f"a{BREAKS}z.jpg", "b.png", "video", "video"]
    for _ in range(2):
        assert "Scored 0 requests, 3 were done before." in score(*arguments).stdout
        assert rows() == before


def test_a_name_that_is_not_utf_8_stops_no_other(score, rows, folder):
    (folder / "a.jpg").rename(folder / os.fsdecode(b"a\xff.jpg"))
    for before in (0, 3):
        done = score(folder, "--title", TITLE, "--niche", "tech")
        assert done.exit_code == 0, done.stderr
        assert f"Scored {3 - before} requests" in done.stdout
    assert [row["group"] for row in rows()] == ["a\\udcff.jpg", "b.png", "video", "video"]


def test_a_row_that_was_cut_at_a_line_break_in_a_cell_is_scored_again(score, rows, folder, tmp_path):
    only = folder / "one"
    only.mkdir()
    (folder / "a.jpg").rename(only / "first\nsecond.jpg")
    arguments = (only, "--title", TITLE, "--niche", "tech")
    score(*arguments)
    whole, results = rows(), tmp_path / "results.csv"
    text = results.read_text()
    results.write_text(text[: text.rindex("first\n") + len("first\n")])
    assert "Scored 1 requests." in score(*arguments).stdout
    assert rows() == whole


def test_a_table_names_titles_niches_and_groups_and_bad_rows_stop_no_other(score, rows, folder, tmp_path, images, draw):
    images["bodies"]["/many.jpg"] = draw(8)
    lines = [
        "thumbnail,title,niche,group,remark",
        "pictures/a.jpg,One title,tech,first,x",
        "pictures/b.png,One title,tech,first,x",
        f"http://{images['host']}/many.jpg,Another,gaming,,",
        "pictures/gone.jpg,Gone,tech,,",
        ",No picture,tech,,",
        "pictures/a.jpg,,tech,,",
        "pictures/a.jpg,T,Knitting!,,",
        "pictures/video/c.jpg,A third,tech,first,",
        "pictures/video/c.jpg,@formula,tech,=group,",
    ]
    table = tmp_path / "videos.csv"
    table.write_text("\n".join(lines))
    done = score(table)
    assert done.exit_code == 1, done.stderr
    assert "1 of all requests have a row with an error" in done.stdout
    assert "4 rows of" in done.stdout
    problems = [line.partition(" is skipped: ")[2] for line in done.stderr.splitlines() if "is skipped" in line]
    assert len(problems) == 4
    assert "thumbnail is missing" in problems[0]
    assert "title is missing; fill in the cell, or give --title" in problems[1]
    assert "niche is 'Knitting!', which is not the name of a niche" in problems[2]
    assert "another title, niche or channel than the first row of the group first" in problems[3]
    found = {(row["group"], row["thumbnail"].rpartition("/")[2]): row for row in rows()}
    assert set(found) == {
        ("first", "a.jpg"),
        ("first", "b.png"),
        ("line 4", "many.jpg"),
        ("line 5", ""),
        ("'=group", "c.jpg"),
    }
    assert found["line 4", "many.jpg"]["niche"] == "gaming"
    assert "No such file" in found["line 5", ""]["error"]
    assert found["line 5", ""]["title"] == "Gone"
    assert found["'=group", "c.jpg"]["title"] == "'@formula"
    (folder / "gone.jpg").write_bytes(draw(5))
    assert "Scored 0 requests, 4 were done before." in score(table).stdout
    assert "Scored 1 requests, 3 were done before." in score(table, "--again").stdout
    assert not [row for row in rows() if row["error"]]


def test_a_group_of_too_many_pictures_is_an_error_in_its_row(score, rows, folder, draw):
    for number in range(25):
        (folder / "video" / f"more-{number}.jpg").write_bytes(draw(number))
    done = score(folder, "--title", TITLE, "--niche", "tech")
    assert done.exit_code == 1
    assert "1 requests were answered, but none of their thumbnails has a score" in done.stdout
    assert "at most 20 thumbnails" in rows()[2]["error"]


def test_the_exit_status_is_0_only_if_every_picture_was_scored_now_or_before(score, rows, folder, draw):
    arguments = (folder, "--title", TITLE, "--niche", "tech")
    (folder / "video" / "c.jpg").write_bytes(b"no picture")
    for scored in (3, 0):
        done = score(*arguments)
        assert done.exit_code == 1
        assert f"Scored {scored} requests" in done.stdout
        assert "1 of all requests have a row with an error; the column `error` says why" in done.stdout
    failed = next(row for row in rows() if row["error"])
    assert (failed["title"], failed["thumbnail"]) == (TITLE, str(folder / "video" / "c.jpg"))
    (folder / "video" / "c.jpg").write_bytes(draw(3))
    assert score(*arguments, "--again").exit_code == 0
    assert score(*arguments).exit_code == 0


def test_a_path_that_is_too_long_for_an_id_is_scored_and_named_in_full(score, rows, tmp_path, draw):
    deep = tmp_path / ("long " * 20) / ("folder " * 20)
    deep.mkdir(parents=True)
    for number in (1, 2):
        (deep / f"{number}.jpg").write_bytes(draw(number))
    done = score(deep.parent, "--title", TITLE, "--niche", "tech")
    assert done.exit_code == 0, done.stderr
    assert [row["thumbnail"] for row in rows()] == [str(deep / "1.jpg"), str(deep / "2.jpg")]


def test_a_lost_service_ends_the_run_and_the_next_run_continues(score, rows, folder):
    done = score(folder, "--title", TITLE, "--niche", "tech", THUMBLAB_SERVING_URL="http://127.0.0.1:1")
    assert done.exit_code == 1
    assert rows() == []
    assert score(folder, "--title", TITLE, "--niche", "tech").exit_code == 0
    assert len(rows()) == 4


def test_options_that_do_not_fit_are_explained(within, score, folder, tmp_path):
    assert "--out needs one FOLDER" in within(folder, "--title", TITLE, "--niche", "tech").stderr
    assert "--out needs one FOLDER" in score(folder / "a.jpg", "--title", TITLE, "--niche", "tech").stderr
    assert "give --title and --niche" in score(folder).stderr
    (tmp_path / "empty").mkdir()
    assert "has no pictures" in score(tmp_path / "empty", "--title", TITLE, "--niche", "tech").stderr
    (tmp_path / "results.csv").write_text("my,own\ntable,!\n")
    assert "give another file" in score(folder, "--title", TITLE, "--niche", "tech").stderr
    assert (tmp_path / "results.csv").read_text() == "my,own\ntable,!\n"
    missing = within(folder / "a.jpg", "--niche", "tech")
    assert missing.exit_code == 2
    assert "Missing option '--title'" in missing.stderr


def test_several_titles_and_niches_are_printed_and_answered(within, service, files):
    arguments = (*files[:2], "--title", TITLE, "--title", "Another title", "--niche", "tech", "--niche", "news")
    asked = {"THUMBLAB_SERVING_URL": service.url}
    printed = within(*arguments, **asked)
    assert printed.exit_code == 0, printed.stderr
    assert printed.stdout.count("Best package:") == 2
    assert "In tech:" in printed.stdout
    assert "In news:" in printed.stdout
    assert "Another title" in printed.stdout
    answer = json.loads(within(*arguments, "--json", **asked).stdout)
    assert len(answer["packages"]["grid"]) == 4
    assert [other["niche"] for other in answer["other_niches"]] == ["news"]


@pytest.mark.parametrize("suffix", [".heic", ".heif", ".avif", ".JPG"])
def test_a_folder_of_pictures_may_have_every_usual_suffix(tmp_path, suffix):
    (tmp_path / f"picture{suffix}").touch()
    (request,) = folder_requests(tmp_path, Defaults((TITLE,), ("tech",), None))
    assert request.images == (str(tmp_path / f"picture{suffix}"),)


@pytest.mark.parametrize("where", [[], ["--local"]])
def test_nobody_is_looked_for_in_the_pictures_of_a_table(score, rows, folder, within, service, monkeypatch, where):
    asked = []
    monkeypatch.setattr(SeenPeople, "search", lambda _, *how: (asked.append(how), (None, []))[1])
    arguments = ["--title", TITLE, "--niche", "tech", "--channel", "UC" + "o" * 22, *where]
    assert score(folder, *arguments).exit_code == 0
    assert len(rows()) == 4
    assert asked == []
    within(folder / "a.jpg", *arguments, **({} if where else {"THUMBLAB_SERVING_URL": service.url}))
    assert len(asked) == 1, "a single request must still look for people"


def test_a_request_may_say_that_no_people_are_to_be_looked_for(service, draw, monkeypatch):
    asked = []
    monkeypatch.setattr(SeenPeople, "search", lambda _, *how: (asked.append(how), (None, []))[1])
    for query, status, searches in (
        ("", 200, 1),
        ("?people=true", 200, 2),
        ("?people=false", 200, 2),
        ("?people=no", 422, 2),
    ):
        files = [("thumbnails", ("a.jpg", draw(1), "image/jpeg"))]
        reply = service.client.post(f"/v1/score{query}", data={"title": TITLE}, files=files)
        assert (reply.status_code, len(asked)) == (status, searches)
