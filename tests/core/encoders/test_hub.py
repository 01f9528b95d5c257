"""Test encoders whose model files come from a hub, such as Hugging Face.

If the hub does not answer, an error says immediately what to use instead.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from huggingface_hub import constants
from local_server import Handler, local_server
from tiny_clip import CONFIG, TinyClip

from thumblab_core.encoders import hub
from thumblab_core.encoders.load import new_image_encoder, title_encoder
from thumblab_core.errors import LabError

PATIENCE = 0.5


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "PATIENCE", PATIENCE)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.upper(), raising=False)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], str]:
    """Return a function that makes the encoders use a hub on a local port. The function returns the URL of that hub."""

    def at(port: int) -> str:
        url = f"http://127.0.0.1:{port}"
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", url)
        return url

    return at


@pytest.fixture
def answering() -> Iterator[Callable[..., tuple[int, list[str]]]]:
    """Return a function that starts a hub, and returns the hub's port and a list of the requests that the hub gets.

    `files` maps the path of each file on the hub to its content. The hub answers all other requests with `status`.
    """
    servers = ExitStack()

    def start(files: dict[str, bytes], status: int = 404) -> tuple[int, list[str]]:
        asked: list[str] = []

        class Hub(Handler):
            def do_GET(self) -> None:
                asked.append(f"{self.command} {self.path}")
                body = files.get(self.path)
                self.send_response(status if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.send_header("ETag", '"0123456789"')
                self.send_header("X-Repo-Commit", "0" * 40)
                if body is None and status == 404:
                    self.send_header("X-Error-Code", "EntryNotFound")
                self.end_headers()
                if self.command == "GET" and body:
                    self.wfile.write(body[:1000])
                    time.sleep(2 * PATIENCE)  # This pause simulates a slow connection.
                    self.wfile.write(body[1000:])

            def do_HEAD(self) -> None:
                self.do_GET()

        return servers.enter_context(local_server(Hub)).server_port, asked

    with servers:
        yield start


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("refusing", "cannot be reached: ConnectError"),
        ("silent", "did not answer within 0.5 s"),
        ("failing", "answered 503"),
    ],
)
def test_an_unreachable_hub_is_asked_once_and_the_error_names_alternatives(
    kind: str,
    problem: str,
    endpoint: Callable[[int], str],
    answering: Callable[..., tuple[int, list[str]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, asked = silent.getsockname()[1], []
        if kind == "refusing":
            silent.close()
        elif kind == "failing":
            port, asked = answering({}, 503)
        url = endpoint(port)
        for load in (
            lambda: new_image_encoder("open_clip:ViT-L-14/openai", Path()).encode_texts(["a"]),  # type: ignore[attr-defined]
            lambda: title_encoder("sentence-transformers/all-mpnet-base-v2").encode_texts(["a"]),
        ):
            asked.clear()
            with pytest.raises(LabError) as error:
                load()
            assert f"the hub {url} {problem}" in str(error.value)
            assert "local" in str(error.value)
            assert ("THUMBLAB_IMAGE_ENCODER=builtin" in str(error.value)) or ("minilm" in str(error.value))
            assert len(asked) == (kind == "failing")
    errors = [line.message for line in caplog.records if line.levelname == "ERROR"]
    assert errors == [], "no error is logged, because the exception gives the reason"
    assert constants.HF_HUB_OFFLINE is False


def test_a_slow_download_has_no_time_limit_and_is_needed_only_once(
    tiny: TinyClip,
    endpoint: Callable[[int], str],
    answering: Callable[..., tuple[int, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # This test imports open_clip after the fixture `tiny` has run. The fixture declares PyTorch operators that
    # torchvision needs, and open_clip imports torchvision.
    import open_clip.pretrained

    tags = {tiny.name: {"slow": {"hf_hub": "lab/tiny/"}}}
    monkeypatch.setattr(open_clip.pretrained, "_PRETRAINED", tags)
    port, asked = answering({"/lab/tiny/resolve/main/open_clip_pytorch_model.bin": tiny.weights.read_bytes()})
    endpoint(port)
    name = f"open_clip:{tiny.name}/slow"
    first = new_image_encoder(name, Path()).encode_texts(["a title"])  # type: ignore[attr-defined]
    assert any(request.startswith("GET /lab/tiny/resolve") for request in asked)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint(silent.getsockname()[1])
        again = new_image_encoder(name, Path()).encode_texts(["a title"])  # type: ignore[attr-defined]
    assert (first == again).all()


def test_local_weights_with_a_tokenizer_on_an_unreachable_hub_fail_at_once(
    tiny: TinyClip, endpoint: Callable[[int], str], answering: Callable[..., tuple[int, list[str]]], tmp_path: Path
) -> None:
    # This test imports open_clip after the fixture `tiny` has run. The fixture declares PyTorch operators that
    # torchvision needs, and open_clip imports torchvision.
    import open_clip

    named = {"hf_tokenizer_name": "lab/multilingual"}
    name = "tiny-test-of-the-hub"
    (tmp_path / f"{name}.json").write_text(json.dumps(CONFIG | {"text_cfg": CONFIG["text_cfg"] | named}))
    open_clip.add_model_config(tmp_path / f"{name}.json")
    port, asked = answering({}, 503)
    url = endpoint(port)
    try:
        with pytest.raises(LabError, match=f"the hub {url} answered 503"):
            new_image_encoder(f"open_clip:{name}/{tiny.weights}", Path()).encode_texts(["a"])  # type: ignore[attr-defined]
        assert len(asked) == 1
        asked.clear()
        new_image_encoder(tiny.setting, Path()).encode_texts(["a"])  # type: ignore[attr-defined]
        assert asked == [], "a model that needs no hub must send no request to it"
    finally:
        open_clip.factory._MODEL_CONFIGS.pop(name)
