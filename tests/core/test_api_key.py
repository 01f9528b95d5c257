"""Test the API key of the scoring service. It comes from the settings, or from a file that is made once."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from thumblab_core.api_key import api_key
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings


def test_a_key_in_the_settings_is_used_and_nothing_is_written(tmp_path: Path) -> None:
    assert api_key(Settings(data_dir=tmp_path / "lab", api_key=SecretStr("mine"))) == "mine"
    assert not (tmp_path / "lab").exists()


def test_a_blank_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="THUMBLAB_API_KEY is blank"):
        api_key(Settings(data_dir=tmp_path, api_key=SecretStr(" ")))


def test_a_key_is_generated_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "lab")
    key = api_key(settings)
    assert len(key) >= 40
    assert api_key(settings) == key
    assert (tmp_path / "lab" / "api-key").stat().st_mode & 0o777 == 0o600


def test_five_processes_that_start_at_once_get_one_key(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from thumblab_core.api_key import api_key
from thumblab_core.settings import Settings
print(api_key(Settings(data_dir=Path({str(tmp_path)!r}))))
"""
    started = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(5)]
    assert len({process.communicate()[0] for process in started}) == 1


def test_a_file_left_empty_by_a_crash_gets_a_key(tmp_path: Path) -> None:
    (tmp_path / "api-key").touch()
    assert len(api_key(Settings(data_dir=tmp_path))) >= 40


def test_an_unusable_key_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / "api-key").mkdir()
    with pytest.raises(LabError, match="set THUMBLAB_API_KEY"):
        api_key(Settings(data_dir=tmp_path))
