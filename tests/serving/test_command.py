"""`thumblab score`: the same answer from its own process and through the service."""

import io
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

from thumblab_cli.main import cli
from thumblab_core.settings import settings

KEY = "key-of-the-tests-0123456789"
TITLE = "I tested every phone under $200"


@pytest.fixture
def environment(lab, images):
    return {
        "THUMBLAB_DATA_DIR": str(lab.settings.data_dir),
        "THUMBLAB_IMAGE_ENCODER": "builtin",
        "THUMBLAB_API_KEY": KEY,
        "THUMBLAB_EXTRA_IMAGE_HOSTS": images["host"],
        "COLUMNS": "200",
    }


@pytest.fixture
def thumblab(environment, tmp_path):
    def run(*arguments, **settings):
        others = {name: value for name, value in os.environ.items() if not name.startswith("THUMBLAB_")}
        command = [sys.executable, "-m", "thumblab_cli.main", "score", *map(str, arguments)]
        env = others | environment | settings
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path)

    return run


@pytest.fixture
def within(environment, tmp_path, monkeypatch):
    """The same command in the process of the tests, which has paid for loading the encoders."""

    def run(*arguments):
        for name in [name for name in os.environ if name.startswith("THUMBLAB_")]:
            monkeypatch.delenv(name)
        monkeypatch.chdir(tmp_path)
        settings.cache_clear()
        return CliRunner().invoke(cli, ["score", *map(str, arguments)], env=environment)

    yield run
    settings.cache_clear()


@pytest.fixture
def files(tmp_path, draw):
    paths = [tmp_path / f"p{n}.jpg" for n in range(3)]
    for n, path in enumerate(paths):
        path.write_bytes(draw(n))
    return paths


def test_its_own_process_and_the_service_give_the_same_answer(
    thumblab, within, service, files, images, tmp_path, alike
):
    images["bodies"]["/far.jpg"] = files[2].read_bytes()
    (tmp_path / "bad.jpg").write_bytes(b"x")
    given = [*files[:2], f"http://{images['host']}/far.jpg", tmp_path / "bad.jpg", "missing.jpg"]
    arguments = [*given, "--title", TITLE, "--niche", "tech", "--json"]
    here = within(*arguments)
    there = thumblab(*arguments, THUMBLAB_SERVING_URL=service.url)
    assert here.exit_code == there.returncode == 0, here.stderr + there.stderr
    answer = json.loads(here.stdout)
    assert alike(answer, json.loads(there.stdout))
    assert [t["id"] for t in answer["thumbnails"]] == list(map(str, given))
    assert [bool(t["error"]) for t in answer["thumbnails"]] == [False, False, False, True, True]
    uploaded = service.score(*[path.read_bytes() for path in files])["thumbnails"]
    assert alike([t["score"] for t in answer["thumbnails"][:3]], [t["score"] for t in uploaded])


def test_a_bad_picture_is_reported_on_its_row_and_does_not_stop_the_others(thumblab, service, files):
    done = thumblab(*files, "gone.jpg", "--title", TITLE, "--niche", "tech", THUMBLAB_SERVING_URL=service.url)
    assert done.returncode == 0
    assert "No such file" in next(line for line in done.stdout.splitlines() if "gone.jpg" in line)
    assert sum("p0.jpg" in line for line in done.stdout.splitlines()) >= 1


@pytest.mark.parametrize("url", ["service", "http://127.0.0.1:1"])
def test_a_failure_is_one_sentence_and_a_non_zero_exit(thumblab, service, tmp_path, url):
    (tmp_path / "bad.jpg").write_bytes(b"x")
    url = service.url if url == "service" else url
    done = thumblab("bad.jpg", "--title", TITLE, "--niche", "tech", THUMBLAB_SERVING_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith("thumblab: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_wrong_key_says_so(thumblab, service, files):
    done = thumblab(
        *files, "--title", "t", "--niche", "tech", THUMBLAB_SERVING_URL=service.url, THUMBLAB_API_KEY="wrong"
    )
    assert done.returncode == 1
    assert "API key" in done.stderr


def test_without_a_model_it_says_what_makes_one(thumblab, files, tmp_path):
    done = thumblab(*files, "--title", "t", "--niche", "tech", THUMBLAB_DATA_DIR=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "thumblab refresh" in done.stderr


def test_a_weak_sub_score_is_printed_with_its_place_what_was_seen_and_a_fix(within, service, files):
    grey = io.BytesIO()
    Image.new("RGB", (320, 180), (128, 128, 128)).save(grey, "PNG")
    files[0].write_bytes(grey.getvalue())
    answer = service.score(*[path.read_bytes() for path in files])
    weak = [(name, sub) for t in answer["thumbnails"] for name, sub in t["sub_scores"].items() if sub["weak"]]
    assert len(weak) >= 3
    said = within(*files, "--title", TITLE, "--niche", "tech").stdout
    for name, sub in weak:
        place = f"(above {sub['niche_percentile']:.0f} % of tech)"
        assert f"{name} {100 * sub['value']:.0f} of 100 {place}: {sub['reason']}; {sub['fix']}" in said
    assert "Degraded: no face model: run `thumblab models pull`" in said


def test_what_a_picture_says_is_printed_as_it_is_and_not_as_markup(capsys, monkeypatch, service, draw):
    from thumblab_cli.score import _show
    from thumblab_serving.schemas import ScoreAnswer

    answer = service.score(draw(1))
    answer["thumbnails"][0]["sub_scores"]["hierarchy"] |= {"reason": "the text '[red]SALE[/]' is small", "fix": "[/]"}
    monkeypatch.setenv("COLUMNS", "200")
    _show(ScoreAnswer.model_validate(answer))
    assert "the text '[red]SALE[/]' is small; [/]" in capsys.readouterr().out


def test_a_channel_is_passed_on_and_what_became_of_it_is_printed(within, thumblab, service, files):
    arguments = [*files[:2], "--title", TITLE, "--niche", "tech", "--channel", "UCown"]
    here = within(*arguments)
    there = thumblab(*arguments, THUMBLAB_SERVING_URL=service.url)
    for said in (here.stdout, there.stdout):
        assert "Adapted to 24 videos of UCown." in said
    unknown = within(*arguments[:-1], "UCnobody").stdout
    assert "Adapted" not in unknown
    assert "Degraded: no history of the channel UCnobody is known" in unknown
    hostile = within(*arguments[:-1], "../all")
    assert (hostile.exit_code, hostile.stderr.count("\n")) == (1, 1)
    assert "channel_id" in hostile.stderr
