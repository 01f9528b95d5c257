"""Test the named API keys: their file, their names, and changes by several processes at the same time."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from thumblab_core.errors import LabError
from thumblab_core.keys.named_keys import MOST_KEYS, NamedKeys, digest
from thumblab_core.settings import Settings


@pytest.fixture
def keys(tmp_path: Path) -> NamedKeys:
    return NamedKeys(Settings(data_dir=tmp_path / "lab"))


def test_a_lab_has_no_named_keys_at_first(keys: NamedKeys) -> None:
    assert keys.all() == ()
    assert not keys.path.parent.exists()


def test_only_the_hash_of_a_key_is_stored_and_only_its_owner_may_read_the_file(keys: NamedKeys) -> None:
    before = os.umask(0)
    try:
        key = keys.add("laptop", ["score"])
    finally:
        os.umask(before)
    assert key.startswith("thumblab_")
    assert len(key) >= 50
    text = keys.path.read_text()
    assert key not in text
    assert key.removeprefix("thumblab_") not in text
    assert digest(key).hex() in text
    assert keys.path.stat().st_mode & 0o777 == 0o600


def test_a_key_keeps_its_scopes_and_its_limit(keys: NamedKeys) -> None:
    keys.add("deploy", ["admin", "score"], 60)
    keys.add("reader", ["score"])
    first, second = keys.all()
    assert (first.name, first.scopes, first.requests_per_minute) == ("deploy", ("score", "admin"), 60)
    assert (second.name, second.scopes, second.requests_per_minute) == ("reader", ("score",), None)


def test_a_rotated_key_keeps_everything_but_its_hash(keys: NamedKeys) -> None:
    old = keys.add("deploy", ["admin"], 60)
    new = keys.rotate("deploy")
    (kept,) = keys.all()
    assert new != old
    assert kept.sha256 == digest(new).hex()
    assert (kept.name, kept.scopes, kept.requests_per_minute) == ("deploy", ("admin",), 60)


def test_a_revoked_key_is_gone_and_its_name_is_free(keys: NamedKeys) -> None:
    keys.add("laptop", ["score"])
    keys.revoke("laptop")
    assert keys.all() == ()
    keys.add("laptop", ["admin"])


@pytest.mark.parametrize("change", ["rotate", "revoke"])
def test_the_error_of_an_unknown_name_lists_the_known_names(keys: NamedKeys, change: str) -> None:
    keys.add("laptop", ["score"])
    with pytest.raises(LabError, match="no key named 'lapdog'; the named keys are: laptop"):
        getattr(keys, change)("lapdog")


def test_a_taken_name_is_refused(keys: NamedKeys) -> None:
    key = keys.add("laptop", ["score"])
    with pytest.raises(LabError, match="thumblab key rotate laptop"):
        keys.add("laptop", ["score"])
    assert [kept.sha256 for kept in keys.all()] == [digest(key).hex()]


@pytest.mark.parametrize(
    "name",
    ["", "A", "a b", "../api-key", "-x", ".x", "a" * 41, "é", "a\n", 'a"', "default", "a/b", "\x1b[31m"],
)
def test_a_name_that_could_harm_a_log_a_label_or_a_path_is_refused(keys: NamedKeys, name: str) -> None:
    with pytest.raises(LabError, match="name"):
        keys.add(name, ["score"])
    assert keys.all() == ()


@pytest.mark.slow
def test_keys_that_five_processes_make_at_once_are_all_kept(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.settings import Settings
keys = NamedKeys(Settings(data_dir=Path({str(tmp_path)!r})))
for n in range(10):
    keys.add(f"{{sys.argv[1]}}-{{n}}", ["score"])
"""
    started = [subprocess.Popen([sys.executable, "-c", script, f"p{number}"]) for number in range(5)]
    assert [process.wait(60) for process in started] == [0] * 5
    names = {key.name for key in NamedKeys(Settings(data_dir=tmp_path)).all()}
    assert names == {f"p{number}-{n}" for number in range(5) for n in range(10)}


def test_a_file_left_by_a_killed_process_does_not_hold_up_the_next_change(keys: NamedKeys) -> None:
    keys.add("laptop", ["score"])
    left = keys.path.with_name(f".{keys.path.name}.new")
    left.write_text('{"format": 1, "keys": [{"na')
    left.chmod(0o644)
    keys.add("phone", ["score"])
    assert [key.name for key in keys.all()] == ["laptop", "phone"]
    assert keys.path.stat().st_mode & 0o777 == 0o600
    assert not left.exists()


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_writes_leaves_only_complete_keys(tmp_path: Path) -> None:
    keys = NamedKeys(Settings(data_dir=tmp_path))
    keys.add("laptop", ["score"])
    script = f"""
from pathlib import Path
from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.settings import Settings
keys = NamedKeys(Settings(data_dir=Path({str(tmp_path)!r})))
print("ready", flush=True)
while True:
    keys.rotate("laptop")
"""
    for kill in range(6):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.05 + 0.013 * kill)
            process.kill()
        assert [key.name for key in keys.all()] == ["laptop"]
        rotated = keys.rotate("laptop")
        assert keys.all()[0].sha256 == digest(rotated).hex()


def without(field: str) -> dict[str, object]:
    whole = {"name": "a", "scopes": ["score"], "sha256": "0" * 64, "made_at": "2026-11-27T18:00:00Z"}
    return {name: value for name, value in whole.items() if name != field}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"format": 2, "keys": []}',
        '{"format": 1, "keys": [',
        json.dumps({"format": 1, "keys": [without("sha256")]}),
        json.dumps({"format": 1, "keys": [without("") | {"scopes": []}]}),
        json.dumps({"format": 1, "keys": [without("") | {"scopes": ["root"]}]}),
        json.dumps({"format": 1, "keys": [without("") | {"name": "default"}]}),
        json.dumps({"format": 1, "keys": [without("") | {"name": 'a"\n'}]}),
        json.dumps({"format": 1, "keys": [without(""), without("")]}),
        json.dumps({"format": 1, "keys": [without("") | {"requests_per_minute": 0}]}),
        json.dumps({"format": 1, "keys": [without("") | {"sha256": "key-that-somebody-wrote-by-hand"}]}),
        "\ufeff\x00",
    ],
)
def test_a_damaged_file_is_named_not_shown_and_not_overwritten(keys: NamedKeys, content: str) -> None:
    keys.path.parent.mkdir()
    keys.path.write_text(content)
    for change in (keys.all, lambda: keys.add("laptop", ["score"])):
        with pytest.raises(LabError, match=r"api-keys\.json, is damaged") as caught:
            change()
        assert "key-that-somebody-wrote-by-hand" not in str(caught.value)
    assert keys.path.read_text() == content


def test_a_file_that_cannot_be_read_is_explained(keys: NamedKeys) -> None:
    keys.path.mkdir(parents=True)
    with pytest.raises(LabError, match="cannot be read"):
        keys.all()


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "lab").touch()
    with pytest.raises(LabError, match=r"cannot be (read|written)"):
        NamedKeys(Settings(data_dir=tmp_path / "lab")).add("laptop", ["score"])


def test_the_number_of_keys_is_limited(keys: NamedKeys) -> None:
    keys.path.parent.mkdir()
    made = [without("") | {"name": f"k{n}"} for n in range(MOST_KEYS)]
    keys.path.write_text(json.dumps({"format": 1, "keys": made}))
    with pytest.raises(LabError, match="at most 1,000 named keys"):
        keys.add("one-more", ["score"])


def test_files_written_by_root_belong_to_the_owner_of_the_folder(
    keys: NamedKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, tuple[int, ...]] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        os, "fchown", lambda handle, *owner: given.update({Path(f"/proc/self/fd/{handle}").readlink().name: owner})
    )
    keys.add("laptop", ["score"])
    folder = keys.path.parent.stat()
    owner = (folder.st_uid, folder.st_gid)
    assert given == {"api-keys.lock": owner, ".api-keys.json.new": owner}
