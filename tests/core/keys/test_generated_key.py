"""Test the API key of the scoring service. The key comes from the settings, or from a file that is made once."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from thumblab_core.durable_files import replace_private_file
from thumblab_core.errors import LabError
from thumblab_core.keys.generated_key import api_key, kept_key, rotate_generated_key
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
from thumblab_core.keys.generated_key import api_key
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


def test_a_rotated_key_replaces_the_old_one_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "lab")
    old = api_key(settings)
    new = rotate_generated_key(settings)
    assert new != old
    assert api_key(settings) == kept_key(settings) == new
    assert (tmp_path / "lab" / "api-key").stat().st_mode & 0o777 == 0o600


def test_a_key_in_the_settings_cannot_be_rotated(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="change the setting"):
        rotate_generated_key(Settings(data_dir=tmp_path, api_key=SecretStr("mine")))
    assert not (tmp_path / "api-key").exists()


def test_a_process_that_waits_while_the_key_is_rotated_gets_the_new_key(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    api_key(settings)
    script = f"""
from pathlib import Path
from thumblab_core.keys.generated_key import api_key
from thumblab_core.settings import Settings
settings = Settings(data_dir=Path({str(tmp_path)!r}))
print("ready", flush=True)
print(api_key(settings))
"""
    with (tmp_path / "api-key").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as waiting:
            assert waiting.stdout is not None
            assert waiting.stdout.readline() == "ready\n"
            time.sleep(0.5)  # The process now waits for the lock of the old file.
            replace_private_file(tmp_path / "api-key", "the-new-key\n")
            fcntl.flock(file, fcntl.LOCK_UN)
            assert waiting.communicate()[0] == "the-new-key\n"


def test_a_key_generated_by_root_belongs_to_the_owner_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        os, "fchown", lambda handle, *owner: given.append((Path(f"/proc/self/fd/{handle}").readlink().name, owner))
    )
    settings = Settings(data_dir=tmp_path / "lab")
    assert api_key(settings) == api_key(settings)
    folder = settings.data_dir.stat()
    assert given == [("api-key", (folder.st_uid, folder.st_gid))]
