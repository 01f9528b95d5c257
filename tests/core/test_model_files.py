"""Test the download of model files.

A file is accepted only if it has the expected SHA-256. A download that fails does not change an existing file.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from local_server import Handler, SilentServer, local_server

from thumblab_core import model_files
from thumblab_core.model_files import (
    YUNET,
    ModelFile,
    ModelFileError,
    Presence,
    face_embedder,
    face_model,
    path_of,
    presence,
    pull,
    wanted,
)
from thumblab_core.settings import Settings

BYTES = b"\x08\x06" + bytes(range(256)) * 900


class Hub:
    """A host of model files. The host answers with `status` and `body`, and counts the requests in `asked`."""

    def __init__(self) -> None:
        hub = self
        self.body, self.status, self.asked = BYTES, 200, 0

        class Answers(Handler):
            def do_GET(self) -> None:
                hub.asked += 1
                self.reply(hub.status, hub.body, Location="/elsewhere")

        self.handler = Answers


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    with local_server(hub.handler, SilentServer) as hub.server:  # The client disconnects when it has read enough.
        yield hub


@pytest.fixture
def model(hub: Hub) -> ModelFile:
    url = f"http://127.0.0.1:{hub.server.server_port}/faces.onnx"
    return ModelFile("faces", "faces.onnx", "finds faces", "MIT", url, len(BYTES), hashlib.sha256(BYTES).hexdigest())


@pytest.fixture
def lab(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "lab")


def files(lab: Settings) -> list[str]:
    return sorted(path.name for path in (lab.data_dir / "models").iterdir())


def test_a_pulled_file_has_the_expected_bytes_and_is_readable_by_others(
    hub: Hub, model: ModelFile, lab: Settings
) -> None:
    assert presence(model, lab) is Presence.MISSING
    assert pull(model, settings=lab) is True
    assert path_of(model, lab).read_bytes() == BYTES
    assert path_of(model, lab).stat().st_mode & 0o777 == 0o644
    assert presence(model, lab) is Presence.PRESENT
    assert files(lab) == ["faces.onnx"]


def test_a_file_that_is_present_is_not_fetched_again(hub: Hub, model: ModelFile, lab: Settings) -> None:
    pull(model, settings=lab)
    assert pull(model, settings=lab) is False
    assert hub.asked == 1


def test_a_damaged_file_is_replaced(hub: Hub, model: ModelFile, lab: Settings) -> None:
    pull(model, settings=lab)
    path_of(model, lab).write_bytes(BYTES[:-1])
    assert presence(model, lab) is Presence.DAMAGED
    assert pull(model, settings=lab) is True
    assert path_of(model, lab).read_bytes() == BYTES


@pytest.mark.parametrize("body", [BYTES[:-1] + b"x", BYTES[:-1], b"version https://git-lfs.github.com/spec/v1", b""])
def test_a_wrong_file_is_reported_with_both_digests_and_changes_nothing(
    hub: Hub, model: ModelFile, lab: Settings, body: bytes
) -> None:
    pull(model, settings=lab)
    path_of(model, lab).write_bytes(b"older")
    hub.body = body
    with pytest.raises(ModelFileError, match="nothing was changed") as caught:
        pull(model, settings=lab)
    assert model.sha256 in str(caught.value)
    assert hashlib.sha256(body).hexdigest() in str(caught.value)
    assert path_of(model, lab).read_bytes() == b"older"
    assert files(lab) == ["faces.onnx"]


def test_an_endless_file_is_cut_off_at_its_known_size(hub: Hub, model: ModelFile, lab: Settings) -> None:
    hub.body = BYTES * 50
    with pytest.raises(ModelFileError, match=r"larger than 0\.22 MiB"):
        pull(model, settings=lab)
    assert files(lab) == []


@pytest.mark.parametrize("status", [302, 404, 500])
def test_the_error_of_a_refused_download_is_one_sentence_with_an_alternative(
    hub: Hub, model: ModelFile, lab: Settings, status: int
) -> None:
    hub.status = status
    with pytest.raises(ModelFileError, match=rf"answered {status}\); nothing was changed.*--from PATH"):
        pull(model, settings=lab)
    assert hub.asked == 1
    assert files(lab) == []


def test_the_error_of_an_unreachable_hub_is_one_sentence_with_an_alternative(model: ModelFile, lab: Settings) -> None:
    with pytest.raises(ModelFileError, match=r"cannot be fetched.*could not be read.*--from PATH"):
        pull(replace(model, url="http://127.0.0.1:9/faces.onnx"), settings=lab)
    assert files(lab) == []


def test_a_local_copy_is_checked_in_the_same_way(hub: Hub, model: ModelFile, lab: Settings, tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(BYTES + b"x")
    with pytest.raises(ModelFileError, match=f"{copy} is not faces.onnx.*nothing was changed"):
        pull(model, copy, lab)
    copy.write_bytes(BYTES)
    assert pull(model, copy, lab) is True
    assert pull(model, copy, lab) is False
    assert hub.asked == 0
    with pytest.raises(ModelFileError, match="No such file"):
        pull(model, tmp_path / "none.onnx", lab)
    assert presence(model, lab) is Presence.PRESENT


def test_a_folder_that_cannot_be_created_is_reported(model: ModelFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelFileError, match="cannot be"):
        pull(model, settings=Settings(data_dir=tmp_path / "file"))


def test_the_urls_of_all_model_files_are_https_urls_that_the_fetcher_accepts() -> None:
    from thumblab_core.fetch import Fetcher

    for name, model in model_files.REGISTRY.items():
        assert name == model.name
        with Fetcher([model.url.split("/")[2]]) as fetcher:
            assert fetcher.check(model.url).scheme == "https"


def test_the_expected_digest_matches_the_real_model_file(shared_data: Path) -> None:
    real = shared_data.parent / "models" / YUNET.file
    if not real.is_file():
        pytest.skip(f"the model file is missing ({real})")
    assert real.stat().st_size == YUNET.size
    assert hashlib.sha256(real.read_bytes()).hexdigest() == YUNET.sha256


class TestFaceModel:
    def test_there_is_no_model_without_a_setting_or_a_pulled_file(self, lab: Settings) -> None:
        assert face_model(lab) is None

    def test_the_pulled_file_is_used(self, lab: Settings, pulled: Path) -> None:
        assert face_model(lab) == pulled

    def test_the_setting_takes_precedence(self, tmp_path: Path, lab: Settings, pulled: Path) -> None:
        own = tmp_path / "own.onnx"
        own.write_bytes(BYTES)
        assert face_model(lab.model_copy(update={"face_model": own})) == own

    def test_a_blank_setting_is_unset(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("THUMBLAB_FACE_MODEL", "")
        assert Settings().face_model is None

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (None, "No such file"),
            (b"", "is not an ONNX file"),
            (b"version https://git-lfs.github.com/spec/v1", "is not an ONNX file"),
            (b"<!doctype html>", "is not an ONNX file"),
        ],
    )
    def test_a_setting_that_names_no_model_is_an_error(self, tmp_path: Path, content: bytes | None, why: str) -> None:
        path = tmp_path / "own.onnx"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelFileError, match=f"THUMBLAB_FACE_MODEL is set to .*{why}"):
            face_model(Settings(data_dir=tmp_path, face_model=path))

    def test_a_damaged_pulled_file_is_an_error(self, lab: Settings, pulled: Path) -> None:
        pulled.write_bytes(b"\x08")
        with pytest.raises(ModelFileError, match="is damaged; `thumblab models pull faces` replaces it"):
            face_model(lab)

    @pytest.fixture
    def pulled(self, model: ModelFile, lab: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(model_files, "YUNET", model)
        pull(model, settings=lab)
        return path_of(model, lab)


class TestFaceEmbedder:
    def test_there_is_no_embedder_without_a_setting_or_a_pulled_file(self, lab: Settings) -> None:
        assert face_embedder(lab) is None

    def test_the_pulled_file_is_used_unless_the_setting_names_another(
        self, tmp_path: Path, lab: Settings, monkeypatch: pytest.MonkeyPatch, model: ModelFile
    ) -> None:
        monkeypatch.setattr(model_files, "SFACE", model)
        pull(model, settings=lab)
        assert face_embedder(lab) == path_of(model, lab)
        own = tmp_path / "own.onnx"
        own.write_bytes(BYTES)
        assert face_embedder(lab.model_copy(update={"face_embedder": own})) == own

    def test_a_damaged_file_and_a_wrong_setting_are_reported(
        self, tmp_path: Path, lab: Settings, monkeypatch: pytest.MonkeyPatch, model: ModelFile
    ) -> None:
        monkeypatch.setattr(model_files, "SFACE", model)
        pull(model, settings=lab)
        path_of(model, lab).write_bytes(b"other")
        with pytest.raises(ModelFileError, match="damaged; `thumblab models pull faces` replaces it"):
            face_embedder(lab)
        (tmp_path / "page.html").write_text("<html>")
        with pytest.raises(ModelFileError, match=r"THUMBLAB_FACE_EMBEDDER is set to .* not an ONNX file"):
            face_embedder(lab.model_copy(update={"face_embedder": tmp_path / "page.html"}))


def test_the_face_embedder_is_wanted_only_where_people_are_switched_on(lab: Settings) -> None:
    assert [model.name for model in wanted(lab)] == ["yunet"]
    for people in ("own", "all"):
        assert [model.name for model in wanted(lab.model_copy(update={"people": people}))] == ["yunet", "sface"]
