"""Test `thumblab score` and `thumblab key`.

`thumblab score` asks the service or scores in its own process. Both give the same answer. `thumblab key` prints the key
of its lab.
"""

import http.server
import io
import json
import os
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner
from PIL import Image

from thumblab_cli.commands import score
from thumblab_cli.main import cli
from thumblab_cli.servers.running_services import running_related_lab
from thumblab_core.ranking.channel_adapters import ChannelAdapterInfo, ChannelAdapters
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.running import Running, announced, running_lab
from thumblab_core.settings import Settings, settings

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
    def run(*arguments, command="score", **settings):
        others = {name: value for name, value in os.environ.items() if not name.startswith("THUMBLAB_")}
        command = [sys.executable, "-m", "thumblab_cli.main", command, *map(str, arguments)]
        env = others | environment | settings
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path)

    return run


@pytest.fixture
def within(environment, tmp_path, monkeypatch):
    """Return a function that runs the command in the process of the tests. The encoders are already loaded there."""

    def run(*arguments, command="score", **chosen):
        for name in [name for name in os.environ if name.startswith("THUMBLAB_")]:
            monkeypatch.delenv(name)
        monkeypatch.chdir(tmp_path)
        settings.cache_clear()
        return CliRunner().invoke(cli, [command, *map(str, arguments)], env=environment | chosen)

    yield run
    settings.cache_clear()


@pytest.fixture
def files(tmp_path, draw):
    paths = [tmp_path / f"p{n}.jpg" for n in range(3)]
    for n, path in enumerate(paths):
        path.write_bytes(draw(n))
    return paths


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


def test_a_bad_picture_is_reported_in_its_row_and_does_not_stop_the_others(thumblab, service, files):
    done = thumblab(*files, "gone.jpg", "--title", TITLE, "--niche", "tech", THUMBLAB_SERVING_URL=service.url)
    assert done.returncode == 0
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
def test_a_failure_prints_one_sentence_and_exits_with_1(thumblab, service, tmp_path, url):
    (tmp_path / "bad.jpg").write_bytes(b"x")
    url = service.url if url == "service" else url
    done = thumblab("bad.jpg", "--title", TITLE, "--niche", "tech", THUMBLAB_SERVING_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith("thumblab: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_wrong_key_is_reported(thumblab, service, files):
    done = thumblab(
        *files, "--title", "t", "--niche", "tech", THUMBLAB_SERVING_URL=service.url, THUMBLAB_API_KEY="wrong"
    )
    assert done.returncode == 1
    assert "API key" in done.stderr


def test_without_a_model_the_command_says_what_to_do(thumblab, files, tmp_path):
    done = thumblab(*files, "--title", "t", "--niche", "tech", THUMBLAB_DATA_DIR=str(tmp_path / "empty"))
    assert done.returncode == 1
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


def test_a_channel_is_sent_and_the_adaptation_is_printed(within, thumblab, service, files):
    arguments = [*files[:2], "--title", TITLE, "--niche", "tech", "--channel", "UCown"]
    local = within(*arguments)
    served = thumblab(*arguments, THUMBLAB_SERVING_URL=service.url)
    for output in (local.stdout, served.stdout):
        assert "Adapted to 24 videos of UCown." in output
    unknown = within(*arguments[:-1], "UCnobody").stdout
    assert "Adapted" not in unknown
    assert "Degraded: the lab has no channel adapter for UCnobody" in unknown
    hostile = within(*arguments[:-1], "../all")
    assert (hostile.exit_code, hostile.stderr.count("\n")) == (1, 1)
    assert "--channel: no adapter of '../all' was added; `thumblab channel list` shows the added ones" in hostile.stderr


ASKED = ("--title", TITLE, "--niche", "tech")
CLOSED = "http://127.0.0.1:1"


def up(lab, scoring):
    """Return a context manager that announces a running `thumblab up` of the lab until its block ends.

    The announced service has the URL `scoring`.
    """
    return announced(lab.settings.data_dir, Running(CLOSED, CLOSED, scoring))


@pytest.fixture
def here(monkeypatch, service, draw):
    """Make scoring in this process return a prepared answer. Return a list that records the calls."""
    from thumblab_serving.schemas.answer import ScoreAnswer

    answer, calls = ScoreAnswer.model_validate(service.score(draw(0), draw(1))), []
    monkeypatch.setattr(score, "_score_here", lambda *given: calls.append(given) or answer)
    return calls


def test_the_running_service_of_the_lab_answers_and_is_named(within, lab, service, files, here):
    with up(lab, service.url):
        people, program = within(*files, *ASKED), within(*files, *ASKED, "--json")
        assert here == []
        alone = within(*files, *ASKED, "--local")
    assert f"answered by the service at {service.url}" in people.stdout
    assert program.stderr == f"Answered by the service at {service.url}.\n"
    assert [thumbnail["id"] for thumbnail in json.loads(program.stdout)["thumbnails"]] == list(map(str, files))
    assert f"answered by this process, for the lab in {lab.settings.data_dir}" in alone.stdout
    afterwards = within(*files, *ASKED)
    assert "answered by this process" in afterwards.stdout
    assert (afterwards.stderr, len(here)) == ("", 2)


def test_a_channel_is_named_by_the_title_or_id_with_which_it_was_added(
    within, tmp_path, service, here, monkeypatch, files
):
    about = ChannelAdapterInfo("UCown", "The Own Channel", "a model", 0, None)
    ChannelAdapters(ReleaseStore(tmp_path / "lab" / "releases")).publish(about, None, 1, [], {})
    titled = {"THUMBLAB_DATA_DIR": str(tmp_path / "lab")}
    monkeypatch.setattr(score, "_score_by_service", lambda *given: score._score_here(*given))
    for url in ("", service.url):
        for name in ("The Own Channel", "UCown", "https://www.youtube.com/channel/UCown"):
            done = within(*files, *ASKED, "--channel", name, **titled, THUMBLAB_SERVING_URL=url)
            assert (done.exit_code, here.pop()[-1].channel_id) == (0, "UCown"), done.stderr
    misspelt = within(*files, *ASKED, "--channel", "the own chanel", **titled)
    assert misspelt.exit_code == 1
    assert "do you mean 'The Own Channel'? `thumblab channel list` shows the added ones" in misspelt.stderr


def test_a_misspelt_title_that_could_be_an_id_is_answered_with_a_note(within, lab, files, monkeypatch):
    monkeypatch.setattr(ChannelAdapters, "titles", lambda _: {"UCtwo": "Mrwhosetheboss"})
    done = within(*files[:2], *ASKED, "--channel", "Mrwhosthebos")
    assert done.exit_code == 0
    assert done.stderr == "note: no adapter of 'Mrwhosthebos' was added; do you mean 'Mrwhosetheboss'?\n"


def test_with_demo_the_service_in_the_environment_is_asked_and_not_the_one_in_the_env_file(
    within, tmp_path, service, files, here, monkeypatch
):
    asked = (*files, *ASKED, "--demo")
    with_url = within(*asked, THUMBLAB_SERVING_URL=service.url)
    assert f"answered by the service at {service.url}" in with_url.stdout, with_url.stderr
    closed = within(*asked, THUMBLAB_SERVING_URL=CLOSED)
    assert (closed.exit_code, here) == (1, [])
    assert f"the service at {CLOSED} did not answer" in closed.stderr
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    (tmp_path / ".env").write_text(f"THUMBLAB_SERVING_URL={CLOSED}")
    assert "answered by this process" in within(*asked).stdout


def test_without_a_model_a_running_related_lab_is_named_with_the_option_that_chooses_it(within, tmp_path, files):
    own = tmp_path / "mine"
    demo = own / "demo"
    demo.mkdir(parents=True)
    lab = {"THUMBLAB_DATA_DIR": str(own)}
    assert "thumblab up` runs" not in within(*files, *ASKED, **lab).stderr
    with announced(demo, Running(CLOSED, CLOSED, CLOSED)):
        done = within(*files, *ASKED, **lab)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        hint = f"; `thumblab up` runs for the lab in {demo}: add `--demo` to use that lab\n"
        assert done.stderr.endswith(hint)
        assert "`thumblab up` runs for" not in within(*files, *ASKED, "--demo", **lab).stderr
        assert f"set THUMBLAB_DATA_DIR={demo} to use" in str(running_related_lab(own, has_demo_option=False))
    with announced(own, Running(CLOSED, CLOSED, CLOSED)):
        done = within(*files, *ASKED, "--demo", **lab)
        assert f"`thumblab up` runs for the lab in {own}: leave out `--demo` to use that lab" in done.stderr


@pytest.fixture(params=["gone", "of another lab", "not ready"])
def unusable_service(request, run, new_lab, lab, service):
    """Announce a service that has ended, refuses the key or is not ready. Yield variables for the command."""
    if request.param == "not ready":
        with run(new_lab().settings, wait=False) as empty, up(lab, empty.url):
            yield {}
    else:
        with up(lab, CLOSED if request.param == "gone" else service.url):
            yield {"THUMBLAB_API_KEY": "another"} if request.param == "of another lab" else {}


def test_this_process_answers_where_the_service_does_not_and_says_so(within, files, here, unusable_service):
    done = within(*files, *ASKED, **unusable_service)
    assert (done.exit_code, len(here)) == (0, 1)
    assert "scoring in this process instead" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "answered by this process" in done.stdout


def test_a_running_lab_is_found_until_it_stops(tmp_path):
    running = Running(CLOSED, CLOSED, CLOSED)
    with announced(tmp_path, running):
        assert running_lab(tmp_path) == running
        done = subprocess.run(
            [sys.executable, "-c", f"from thumblab_core.running import *; print(running_lab(Path({str(tmp_path)!r})))"],
            capture_output=True,
            text=True,
        )
        assert CLOSED in done.stdout, done.stderr
    assert (tmp_path / "running.json").read_text()
    assert running_lab(tmp_path) is None


def test_no_key_is_made_while_the_service_of_another_lab_runs(within, service, tmp_path):
    """Check that `thumblab key` makes no key while the service of another lab listens on this lab's port.

    That service would refuse the new key without saying why.
    """
    apart = {"THUMBLAB_DATA_DIR": str(tmp_path / "mine"), "THUMBLAB_SERVING_PORT": service.url.rpartition(":")[2]}
    for arguments in ((), ("--demo",)):
        done = within(*arguments, command="key", **apart | {"THUMBLAB_API_KEY": ""})
        assert (done.exit_code, done.stdout) == (1, "")
        assert f"the service at {service.url} does not belong to this lab's `thumblab up`" in done.stderr
    assert not (tmp_path / "mine").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "api-key").write_text("mine\n")
    done = within(command="key", **apart | {"THUMBLAB_API_KEY": ""})
    assert (done.exit_code, done.stdout) == (0, "mine\n")
    assert f"the service at {service.url} does not belong to this lab's `thumblab up`" in done.stderr


def test_another_server_on_the_port_never_receives_the_key(within, tmp_path):
    heard = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"encoders": {}}'
            heard.append(f"{self.requestline} {self.headers}")
            self.send_response(200 if self.command == "GET" else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as listener:
        threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        apart = {"THUMBLAB_DATA_DIR": str(tmp_path), "THUMBLAB_SERVING_PORT": str(listener.server_port)}
        done = within(command="key", **apart)
        listener.shutdown()
    assert done.stdout == KEY + "\n"
    assert len(heard) == 2
    assert KEY not in "".join(heard)
    assert "does not belong to this lab's `thumblab up`" in done.stderr


def test_the_key_of_the_running_demo_is_found(within, tmp_path):
    own, demo = tmp_path / "mine", tmp_path / "mine" / "demo"
    demo.mkdir(parents=True)
    (demo / "api-key").write_text("key-of-the-demo\n")
    lab = {"THUMBLAB_DATA_DIR": str(own), "THUMBLAB_API_KEY": "", "THUMBLAB_SERVING_PORT": "1"}
    with announced(demo, Running(CLOSED, CLOSED, CLOSED)):
        of_demo, of_own = within("--demo", command="key", **lab), within(command="key", **lab)
    assert (of_demo.stdout, of_demo.stderr) == ("key-of-the-demo\n", "")
    assert (of_own.exit_code, of_own.stdout) == (1, "")
    assert f"belongs to the lab in {demo}: `thumblab key --demo` prints its key" in of_own.stderr
    assert not (own / "api-key").exists()
    generated = within(command="key", **lab)
    assert generated.stdout.strip() == (own / "api-key").read_text().strip()
    assert generated.stderr == f"Generated a key for the lab in {own}.\n"
