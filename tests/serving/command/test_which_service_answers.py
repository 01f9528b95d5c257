"""Test which service gets the request of `thumblab score`, and which lab's key `thumblab key` prints."""

import json
import subprocess
import sys

import pytest
from local_server import Handler, local_server

from thumblab_cli.commands import score
from thumblab_cli.servers.running_services import running_related_lab
from thumblab_core.ranking.channel_adapters import ChannelAdapterInfo, ChannelAdapters
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.running import Running, announced, running_lab
from thumblab_core.settings import Settings

KEY = "key-of-the-tests-0123456789"
TITLE = "I tested every phone under $200"


ASKED = ("--title", TITLE, "--niche", "tech")
CLOSED = "http://127.0.0.1:1"


def up(lab, scoring):
    """Return a context manager that makes the lab look as if `thumblab up` ran, until the `with` block ends.

    The scoring service of this `thumblab up` has the URL `scoring`.
    """
    return announced(lab.settings.data_dir, Running(CLOSED, CLOSED, scoring))


@pytest.fixture
def here(monkeypatch, service, draw):
    """Replace the scoring in the command's own process by a prepared answer. Return a list that gets an item at each
    call.
    """
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
    assert "do you mean 'The Own Channel'? `thumblab channel list` lists the added channels" in misspelt.stderr
    other = within(*files, *ASKED, "--channel", "https://youtube.com/c/own", **titled)
    assert "is not a link to a channel; give its id" in other.stderr


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
    """Make the lab look as if `thumblab up` ran with a service that has ended, refuses the key or is not ready.

    Yield the environment variables that a test must add when it runs the command.
    """
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
    assert running_lab(tmp_path) is None


def test_the_record_of_a_killed_lab_names_no_running_lab(tmp_path):
    script = f"""
import os
from thumblab_core.running import *
with announced(Path({str(tmp_path)!r}), Running(*{[CLOSED] * 3})):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 9
    assert CLOSED in (tmp_path / "running.json").read_text()
    assert running_lab(tmp_path) is None


def test_no_key_is_made_while_the_service_of_another_lab_runs(within, service, tmp_path):
    """Check that `thumblab key` makes no key while the service of another lab listens on this lab's port.

    The other lab's service would refuse a new key, with an error that does not mention the other lab.
    """
    apart = {"THUMBLAB_DATA_DIR": str(tmp_path / "mine"), "THUMBLAB_SERVING_PORT": service.url.rpartition(":")[2]}
    for arguments in ((), ("--demo",)):
        done = within(*arguments, command="key", **apart | {"THUMBLAB_API_KEY": ""})
        assert (done.exit_code, done.stdout) == (1, "")
        up = " ".join(("thumblab up", *arguments))
        assert f"the service at {service.url} does not belong to this lab's `{up}`" in done.stderr
    assert not (tmp_path / "mine").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "api-key").write_text("mine\n")
    done = within(command="key", **apart | {"THUMBLAB_API_KEY": ""})
    assert (done.exit_code, done.stdout) == (0, "mine\n")
    assert f"the service at {service.url} does not belong to this lab's `thumblab up`" in done.stderr


def test_another_server_on_the_port_never_receives_the_key(within, tmp_path):
    heard = []

    class Listener(Handler):
        def do_GET(self):
            heard.append(f"{self.requestline} {self.headers}")
            self.reply(200 if self.command == "GET" else 401, b'{"encoders": {}}')

        def do_POST(self):
            self.do_GET()

    with local_server(Listener) as listener:
        apart = {"THUMBLAB_DATA_DIR": str(tmp_path), "THUMBLAB_SERVING_PORT": str(listener.server_port)}
        done = within(command="key", **apart)
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
