"""Test `thumblab score`.

The command either sends its request to the service or scores the pictures in its own process. The answer is the same in
both cases.
"""

import io
import json
import os

import pytest
from PIL import Image

KEY = "key-of-the-tests-0123456789"
TITLE = "I tested every phone under $200"


def test_the_command_and_the_service_give_the_same_answer(thumblab, within, service, files, images, tmp_path, alike):
    images["bodies"]["/far.jpg"] = files[2].read_bytes()
    (tmp_path / "bad.jpg").write_bytes(b"x")
    given = [*files[:2], f"http://{images['host']}/far.jpg", tmp_path / "bad.jpg", "missing.jpg"]
    arguments = [*given, "--title", TITLE, "--niche", "tech", "--json"]
    local = within(*arguments)
    served = thumblab(*arguments, THUMBLAB_SERVING_URL=service.url)
    assert local.exit_code == served.returncode == 0, local.stderr + served.stderr
    answer = json.loads(local.stdout)
    assert alike(answer, json.loads(served.stdout))
    assert [t["id"] for t in answer["thumbnails"]] == list(map(str, given))
    assert [bool(t["error"]) for t in answer["thumbnails"]] == [False, False, False, True, True]
    uploaded = service.score(*[path.read_bytes() for path in files])["thumbnails"]
    assert alike([t["score"] for t in answer["thumbnails"][:3]], [t["score"] for t in uploaded])


def test_a_bad_picture_is_reported_in_its_row_and_does_not_stop_the_others(within, service, files):
    done = within(*files, "gone.jpg", "--title", TITLE, "--niche", "tech", THUMBLAB_SERVING_URL=service.url)
    assert done.exit_code == 0
    assert "No such file" in next(line for line in done.stdout.splitlines() if "gone.jpg" in line)
    assert sum("p0.jpg" in line for line in done.stdout.splitlines()) >= 1


def test_the_library_note_comes_from_the_service_that_answered(within, service, files, monkeypatch):
    monkeypatch.setattr(service.app.state.scorer, "library_note", "Its pictures are drawn.")
    done = within(*files, "--title", TITLE, "--niche", "tech", THUMBLAB_SERVING_URL=service.url)
    assert "Note: Its pictures are drawn." in done.stdout, done.stderr


def test_an_ascii_terminal_and_undecodable_file_names_stop_no_answer(thumblab, service, tmp_path, draw):
    given = [os.fsdecode(b"\xff.jpg"), "caf\u00e9 \u20ac \N{CLAPPER BOARD}.jpg", "gone \u20ac.jpg"]
    for name in given[:2]:
        (tmp_path / name).write_bytes(draw(len(name)))
    few = {"THUMBLAB_SERVING_URL": service.url, "PYTHONIOENCODING": "ascii"}
    done = thumblab(*given, "--title", "\u20ac \N{CLAPPER BOARD}", "--niche", "tech", **few)
    assert done.returncode == 0, done.stderr
    for shown in ("caf? ? ?.jpg", "\\xff.jpg", "gone ?.jpg"):
        assert shown in done.stdout


def test_a_file_that_is_too_large_gets_an_error_with_its_size(within, files, tmp_path):
    with (tmp_path / "long.png").open("wb") as file:
        file.truncate(3 * 2**30)
    done = within(files[0], tmp_path / "long.png", "--title", TITLE, "--niche", "tech", "--json")
    assert done.exit_code == 0, done.stderr
    errors = [thumbnail["error"] for thumbnail in json.loads(done.stdout)["thumbnails"]]
    assert errors == [None, "the file has 3072.0 MiB; at most 50 MiB are read"]


@pytest.mark.parametrize("url", ["service", "http://127.0.0.1:1"])
def test_a_failure_prints_one_sentence_and_exits_with_1(within, service, tmp_path, url):
    (tmp_path / "bad.jpg").write_bytes(b"x")
    url = service.url if url == "service" else url
    done = within("bad.jpg", "--title", TITLE, "--niche", "tech", THUMBLAB_SERVING_URL=url)
    assert done.exit_code == 1
    assert done.stderr.startswith("thumblab: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_wrong_key_is_reported(within, service, files):
    done = within(*files, "--title", "t", "--niche", "tech", THUMBLAB_SERVING_URL=service.url, THUMBLAB_API_KEY="wrong")
    assert done.exit_code == 1
    assert "API key" in done.stderr


def test_without_a_model_the_command_says_what_to_do(within, files, tmp_path):
    done = within(*files, "--title", "t", "--niche", "tech", THUMBLAB_DATA_DIR=str(tmp_path / "empty"))
    assert done.exit_code == 1
    assert "thumblab refresh" in done.stderr


def test_a_weak_sub_score_is_printed_with_its_percentile_reason_and_fix(within, service, files):
    grey = io.BytesIO()
    Image.new("RGB", (320, 180), (128, 128, 128)).save(grey, "PNG")
    files[0].write_bytes(grey.getvalue())
    answer = service.score(*[path.read_bytes() for path in files])
    weak = [(name, sub) for t in answer["thumbnails"] for name, sub in t["sub_scores"].items() if sub["weak"]]
    assert len(weak) >= 3
    output = within(*files, "--title", TITLE, "--niche", "tech").stdout
    for name, sub in weak:
        place = f"(above {sub['niche_percentile']:.0f} % of tech)"
        assert f"{name} {100 * sub['value']:.0f} of 100 {place}: {sub['reason']}; {sub['fix']}" in output
    assert "Degraded: no face model: run `thumblab models pull`" in output


def test_text_of_a_picture_is_printed_literally_and_not_as_markup(capsys, monkeypatch, service, draw):
    from thumblab_cli.printing.score_answer import print_answer
    from thumblab_serving.schemas.answer import ScoreAnswer

    answer = service.score(draw(1))
    answer["thumbnails"][0]["sub_scores"]["hierarchy"] |= {"reason": "the text '[red]SALE[/]' is small", "fix": "[/]"}
    monkeypatch.setenv("COLUMNS", "200")
    print_answer(ScoreAnswer.model_validate(answer), "a test", None)
    assert "the text '[red]SALE[/]' is small; [/]" in capsys.readouterr().out


def test_a_channel_is_sent_and_the_adaptation_is_printed(within, service, files):
    arguments = [*files[:2], "--title", TITLE, "--niche", "tech", "--channel", "UCown"]
    local = within(*arguments)
    served = within(*arguments, THUMBLAB_SERVING_URL=service.url)
    for output in (local.stdout, served.stdout):
        assert "Adapted to 24 videos of UCown." in output
    unknown = within(*arguments[:-1], "UCnobody").stdout
    assert "Adapted" not in unknown
    assert "Degraded: the lab has no channel adapter for UCnobody" in unknown
    hostile = within(*arguments[:-1], "../all")
    assert (hostile.exit_code, hostile.stderr.count("\n")) == (1, 1)
    assert (
        "--channel: no adapter of '../all' was added; `thumblab channel list` lists the added channels"
        in hostile.stderr
    )
