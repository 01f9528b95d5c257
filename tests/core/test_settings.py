"""Test the settings.

An invalid value causes an error of one sentence that does not show the value. A misspelt name is reported.
"""

import re
import socket
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from local_server import Handler, running

from thumblab_cli.main import cli
from thumblab_cli.servers import running_services
from thumblab_cli.servers.lab_servers import scoring_server
from thumblab_cli.servers.ports import refuse_taken
from thumblab_core import settings as module
from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher, FetchError, RefusedError
from thumblab_core.settings import Settings, settings
from thumblab_serving.app import create_app

SECRET = "hunter2"


@pytest.fixture
def dot_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Return a function that writes bytes to `.env`. After a call, the settings are read again from this file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    module._warn.cache_clear()

    def write(content: bytes) -> None:
        Path(".env").write_bytes(content)
        settings.cache_clear()

    return write


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("THUMBLAB_SERVING_PORT", SECRET, "valid integer"),
        ("THUMBLAB_SERVING_PORT", "70000", "less than or equal to 65535"),
        ("THUMBLAB_REFRESH_DAYS", "nan", "finite"),
        ("THUMBLAB_HISTORY_DAYS", "inf", "finite"),
        ("THUMBLAB_CRAWL_THREADS", "0", "greater than or equal to 1"),
        ("THUMBLAB_ENCODER_PRECISION", SECRET, "'auto'"),
        (
            "THUMBLAB_IMAGE_ENCODER",
            SECRET,
            "set THUMBLAB_IMAGE_ENCODER to builtin, open_clip:MODEL/WEIGHTS or onnx:PATH",
        ),
        ("THUMBLAB_IMAGE_ENCODER", "bultin", "do you mean builtin?"),
        ("THUMBLAB_IMAGE_ENCODER", "openclip:ViT-L-14/openai", "do you mean open_clip:MODEL/WEIGHTS?"),
        ("THUMBLAB_PEOPLE", SECRET, "'off', 'own' or 'all'"),
        ("THUMBLAB_FACE_UNKNOWN_CLUSTERING_METHOD", SECRET, "'hdbscan', 'dbscan' or 'agglomerative'"),
        ("THUMBLAB_FACE_UNKNOWN_MIN_CLUSTER_SIZE", "1", "greater than or equal to 2"),
        ("THUMBLAB_TRAIN_ONLY_ON_OPTED_IN", SECRET, "valid boolean"),
        ("THUMBLAB_EXTRA_IMAGE_HOSTS", f"u:{SECRET}@cdn.example", "not a host"),
        ("THUMBLAB_EXTRA_IMAGE_HOSTS", "cdn.example:port", "write name or name:port"),
        ("THUMBLAB_EXTRA_IMAGE_HOSTS", "a.example;b.example", "not a host"),
        ("THUMBLAB_EXTRA_IMAGE_HOSTS", "*.cdn.example", "not a host"),
        ("THUMBLAB_LIBRARY_DAYS", "999999999999", "less than or equal to 36500"),
        ("THUMBLAB_SERVING_HOST", "127.0.0.1:8000", "not a host"),
        ("THUMBLAB_SERVING_HOST", "http://127.0.0.1", "not a host"),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_the_error_of_a_bad_setting_is_one_sentence_with_its_name_and_without_its_value(
    dot_env: Callable[[bytes], None],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    reason: str,
    in_file: bool,
) -> None:
    dot_env(f"{variable}={value}".encode() if in_file else b"")
    if not in_file:
        monkeypatch.setenv(variable, value)
    done = CliRunner().invoke(cli, ["db", "status"])
    assert done.exit_code == 1
    assert done.output.startswith(f"thumblab: A setting cannot be used: {variable}: ")
    assert reason in done.output
    assert len(done.output.splitlines()) == 1
    assert SECRET not in done.output


def test_a_blank_data_folder_is_the_default_and_a_tilde_is_the_home_folder(
    dot_env: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THUMBLAB_DATA_DIR")
    dot_env(b"")
    usual = Settings().data_dir
    monkeypatch.setenv("THUMBLAB_DATA_DIR", "")
    assert Settings().data_dir == usual
    monkeypatch.setenv("THUMBLAB_DATA_DIR", "~/lab")
    assert Settings().data_dir == Path.home() / "lab"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_an_env_file_in_another_encoding_is_named_and_not_shown(
    dot_env: Callable[[bytes], None], tmp_path: Path, encoding: str
) -> None:
    for folder in ("/données", "/data" if encoding.startswith("utf") else "/é"):
        dot_env(f"THUMBLAB_API_KEY={SECRET}\nTHUMBLAB_DATA_DIR={folder}\n".encode(encoding))
        with pytest.raises(LabError) as raised:
            settings()
        assert str(raised.value) == f"{tmp_path / '.env'} is not UTF-8; save it as UTF-8"


def test_an_env_file_with_a_byte_order_mark_is_read_from_its_first_line(
    dot_env: Callable[[bytes], None], capsys: pytest.CaptureFixture[str]
) -> None:
    dot_env("THUMBLAB_REGION=FR\nTHUMBLAB_LANGUAGE=fr\n".encode("utf-8-sig"))
    assert (settings().region, settings().language) == ("FR", "fr")
    assert capsys.readouterr().err == ""


def test_a_misspelt_variable_is_named_once_with_the_nearest_setting_and_without_its_value(
    dot_env: Callable[[bytes], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dot_env(f"THUMBLAB_APIKEY={SECRET}\nTHUMBLAB_REGION=FR\nPOSTGRES_PASSWORD=x\n".encode())
    monkeypatch.setenv("THUMBLAB_VIDEO_PER_NICHE", "7")
    monkeypatch.setenv("thumblab_region", "DE")
    monkeypatch.setenv("THUMBLAB_QQQQQQQQQQQQ", "1")
    # This name is not similar to any setting. The error must not suggest a setting, not even the nearest name,
    # THUMBLAB_FORGET_SHARE.
    monkeypatch.setenv("THUMBLAB_FOOBAR", "1")
    for _ in range(2):
        assert settings().region == "DE"
        settings.cache_clear()
    assert capsys.readouterr().err.splitlines() == [
        "thumblab: THUMBLAB_APIKEY is not a setting and has no effect; do you mean THUMBLAB_API_KEY?",
        "thumblab: THUMBLAB_FOOBAR is not a setting and has no effect",
        "thumblab: THUMBLAB_QQQQQQQQQQQQ is not a setting and has no effect",
        "thumblab: THUMBLAB_VIDEO_PER_NICHE is not a setting and has no effect; do you mean THUMBLAB_VIDEOS_PER_NICHE?",
    ]


def test_a_wrong_line_of_the_env_file_is_named_once_with_the_file_and_not_shown(
    dot_env: Callable[[bytes], None], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    dot_env(f"# a comment\nTHUMBLAB_REGION=FR\n\n\n{SECRET} is here\nTHUMBLAB_LANGUAGE=fr\n = 3\n".encode())
    for _ in range(2):
        assert (settings().region, settings().language) == ("FR", "fr")
        settings.cache_clear()
    assert capfd.readouterr().err.splitlines() == [
        f"thumblab: {tmp_path / '.env'} line {number} is skipped; write NAME=value, or # before a comment"
        for number in (5, 7)
    ]


def test_the_env_file_of_the_checkout_counts_in_every_folder_and_the_one_of_the_folder_goes_first(
    dot_env: Callable[[bytes], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.ENV_FILES == (module.CHECKOUT / ".env", ".env")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / ".env").write_text("THUMBLAB_REGION=FR\nTHUMBLAB_LANGUAGE=fr\n")
    monkeypatch.setitem(Settings.model_config, "env_file", (checkout / ".env", ".env"))
    settings.cache_clear()
    assert (settings().region, settings().language) == ("FR", "fr")
    dot_env(b"THUMBLAB_REGION=DE\n")
    assert (settings().region, settings().language) == ("DE", "fr")


def test_every_variable_in_the_documents_is_a_setting() -> None:
    root = Path(module.__file__).parents[1]
    files = [root / "README.md", root / ".env.example", root / "docker-compose.yml", *(root / "docs").glob("*.md")]
    names = {name for path in files for name in re.findall(r"THUMBLAB_[A-Z_]*[A-Z]", path.read_text())}
    assert len(names) > 20
    assert module._misspelt(names) == []


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::1", "http://[::1]:8000"),
        ("[::1]", "http://[::1]:8000"),
        ("0:0::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("LocalHost", "http://localhost:8000"),
        ("192.0.2.7", "http://192.0.2.7:8000"),
    ],
)
def test_the_services_url_is_the_same_however_its_host_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, url: str
) -> None:
    chosen = Settings(data_dir=tmp_path, serving_host=host, serving_port=8000)
    asked: list[str] = []
    monkeypatch.setattr(running_services, "_asks_for_a_key", asked.append)
    assert running_services.another_labs_service(chosen) is None
    assert asked == [url], "`thumblab key` must call the URL at which `thumblab up` starts the service"
    server = scoring_server(chosen, 8000)
    assert server.url == url
    assert httpx.URL(url).port == 8000


def test_a_taken_port_is_detected_on_ipv6_too(tmp_path: Path) -> None:
    chosen = Settings(data_dir=tmp_path, serving_host="::1")
    with socket.socket(socket.AF_INET6) as taken:
        try:
            taken.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        server = scoring_server(chosen, taken.getsockname()[1])
        refuse_taken("scoring", str(server.url))
        taken.listen()
        with pytest.raises(LabError, match=r"something listens on \[::1\]:\d+ already.* with THUMBLAB_SERVING_PORT"):
            refuse_taken("scoring", str(server.url))


@pytest.mark.parametrize("host", ["::1", "[::1]", "127.0.0.1", "127.9.9.9", "LOCALHOST"])
def test_a_service_that_only_this_machine_reaches_answers_to_its_own_names_and_no_other(
    tmp_path: Path, host: str
) -> None:
    app = create_app(Settings(data_dir=tmp_path, serving_host=host))
    client = TestClient(app, base_url="http://localhost")
    named = host if ":" not in host else "[::1]"
    for header in (f"{named}:8000", "[::1]:8000", "[0:0::1]", "localhost"):
        assert client.get("/health", headers={"Host": header}).status_code != 421, header
    assert client.get("/health", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("CDN.Example", "https://cdn.example/a.jpg"),
        ("cdn.example", "https://CDN.EXAMPLE/a.jpg"),
        ("https://cdn.example/", "https://cdn.example/a.jpg"),
        ("LOCALHOST:8090", "http://localhost:8090/a.jpg"),
        ("::1", "https://[::1]/a.jpg"),
        ("[::1]", "https://[::1]:443/a.jpg"),
        ("x, [2001:DB8::0:1]:8090", "http://[2001:db8::1]:8090/a.jpg"),
        ("[2001:db8::1]:8090", "http://[2001:DB8:0::1]:8090/a.jpg"),
        ("https://cdn.example:443", "https://cdn.example/a.jpg"),
        ("cdn.example:443", "https://cdn.example/a.jpg"),
        ("cdn.example:443", "https://cdn.example:443/a.jpg"),
        ("[::1]:443", "https://[::1]/a.jpg"),
        ("http://cdn.example", "http://cdn.example/a.jpg"),
        ("http://cdn.example", "http://cdn.example:80/a.jpg"),
        ("cdn.example:80", "http://cdn.example/a.jpg"),
        ("http://cdn.example:443", "http://cdn.example:443/a.jpg"),
    ],
)
def test_an_image_host_matches_in_any_case_and_as_an_ipv6_address(written: str, url: str) -> None:
    hosts = Settings(extra_image_hosts=written).image_hosts
    Fetcher(hosts).check(url)
    for other in ("http://[::1]:8091/a.jpg", "https://[2001:db8::18090]/a.jpg", "https://cdn.example.evil/a.jpg"):
        with pytest.raises(RefusedError):
            Fetcher(hosts).check(other)


def test_an_image_host_is_trusted_for_its_own_scheme_only() -> None:
    for written, other in (("http://cdn.example", "https://cdn.example/"), ("cdn.example:443", "http://cdn.example/")):
        with pytest.raises(RefusedError):
            Fetcher(Settings(extra_image_hosts=written).image_hosts).check(other)


def test_a_picture_is_read_from_an_ipv6_address_with_brackets_in_the_host_header() -> None:
    headers = []

    class Answers(Handler):
        def do_GET(self) -> None:
            headers.append(self.headers["Host"])
            self.reply(204)

    class OnIPv6(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    try:
        server = OnIPv6(("::1", 0), Answers)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server, running(server):
        name = f"[::1]:{server.server_port}"
        with pytest.raises(FetchError, match="answered 204"):
            Fetcher(Settings(extra_image_hosts=name).image_hosts).get(f"http://{name}/a.jpg")
    assert headers == [name]


FACE_SETTINGS = {
    "FACE_PERSON_MATCH_THRESHOLD": ("0.8", 0.7, 0.8),
    "FACE_UNKNOWN_CLUSTERING_METHOD": ("dbscan", "hdbscan", "dbscan"),
    "FACE_UNKNOWN_MIN_CLUSTER_SIZE": ("5", 3, 5),
    "FACE_TRIPLET_MARGIN": ("0.3", 0.2, 0.3),
    "FACE_TRAINING_EPOCHS": ("50", 20, 50),
}


@pytest.mark.parametrize("prefix", ["THUMBLAB_", ""])
@pytest.mark.parametrize("name", FACE_SETTINGS)
def test_the_settings_of_faces_are_read_by_both_of_their_names(
    monkeypatch: pytest.MonkeyPatch, name: str, prefix: str
) -> None:
    given, default, value = FACE_SETTINGS[name]
    assert getattr(Settings(), name.lower()) == default
    monkeypatch.setenv(f"{prefix}{name}", given)
    assert getattr(Settings(), name.lower()) == value


def test_people_are_off_unless_they_are_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().people == "off"
    monkeypatch.setenv("THUMBLAB_PEOPLE", "own")
    assert Settings().people == "own"
