"""Test secret settings that are in files: `THUMBLAB_API_KEY_FILE` names a file with the value of `THUMBLAB_API_KEY`."""

from pathlib import Path

import pytest

from thumblab_core.database.urls import database_url
from thumblab_core.errors import LabError
from thumblab_core.keys.secret_files import secret_file_variables
from thumblab_core.settings import Settings, settings


def test_each_secret_setting_can_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = secret_file_variables(Settings)
    assert {"THUMBLAB_API_KEY_FILE", "THUMBLAB_DATABASE_URL_FILE", "THUMBLAB_YOUTUBE_API_KEY_FILE"} <= variables.keys()
    # The setting of the webhook accepts only a URL. The other secret settings accept any text.
    secrets = {name: f"https://example.com/secret-of-{name}" for name in variables}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(f" {secret}\n")
        monkeypatch.setenv(name, str(tmp_path / name))
    read = settings()
    assert {name: getattr(read, field).get_secret_value() for name, field in variables.items()} == secrets


def test_a_blank_file_unsets_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("\n")
    monkeypatch.setenv("THUMBLAB_YOUTUBE_API_KEY_FILE", str(tmp_path / "key"))
    assert settings().youtube_api_key is None


def test_a_file_named_in_dotenv_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("kept in a file")
    (tmp_path / ".env").write_text(f"THUMBLAB_API_KEY_FILE={tmp_path / 'key'}\n")
    monkeypatch.setitem(Settings.model_config, "env_file", str(tmp_path / ".env"))
    key = settings().api_key
    assert key is not None
    assert key.get_secret_value() == "kept in a file"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"THUMBLAB_API_KEY_FILE: .*key cannot be read \(No such file or directory\); make the file readable"),
        (b"\xff\xfe", "THUMBLAB_API_KEY_FILE: .*key is not UTF-8; save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(
    content: bytes | None, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("THUMBLAB_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(LabError, match=sentence):
        settings()


def test_a_secret_given_twice_is_an_error_that_shows_neither_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("first")
    monkeypatch.setenv("THUMBLAB_API_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("THUMBLAB_API_KEY", "second")
    with pytest.raises(LabError) as caught:
        settings()
    assert str(caught.value) == "THUMBLAB_API_KEY and THUMBLAB_API_KEY_FILE are both set; unset one of them"


def test_a_password_with_every_character_completes_the_url_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import make_url

    monkeypatch.setenv("THUMBLAB_DATABASE_URL", "postgresql://thumblab@postgres/thumblab")
    monkeypatch.setenv("THUMBLAB_DATABASE_PASSWORD", "p%40:s/w ?d#@")
    assert make_url(database_url()).password == "p%40:s/w ?d#@"
    settings.cache_clear()
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", "postgresql://thumblab:other@postgres/thumblab")
    with pytest.raises(LabError, match="has a password already") as caught:
        database_url()
    assert "other" not in str(caught.value)
