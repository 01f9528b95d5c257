"""Tests of the addresses by which Dagster's servers find the code server of `thumblab up`."""

import json
import os
import socket
import stat
import time
from pathlib import Path

import pytest
from rich.console import Console

from thumblab_cli.commands import up
from thumblab_cli.doctor.encoder_at_start import EncoderCheck
from thumblab_cli.servers.database_watch import DatabaseWatch
from thumblab_cli.servers.lab_servers import dagster_servers
from thumblab_cli.servers.readiness import listens_on
from thumblab_cli.servers.supervisor import Supervisor
from thumblab_core.settings import Settings


def socket_of(home: Path) -> Path:
    code, webserver, daemon = dagster_servers(3000, home)
    workspace = home / "workspace.yaml"
    assert [server.command[-1] for server in (webserver, daemon)] == [str(workspace)] * 2
    path = json.loads(workspace.read_text())["load_from"][0]["grpc_server"]["socket"]
    assert code.command[code.command.index("--socket") + 1] == path
    return Path(path)


@pytest.mark.parametrize("name", ["lab", "a lab with 100% spaces", "l" * 150])
def test_the_code_server_can_listen_with_any_path_of_the_lab(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    home.mkdir()
    path = socket_of(home)
    ready = listens_on(path)
    assert not ready(0.0)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert ready(0.0)
    assert not ready(0.0)
    assert (home / path.name).is_socket()
    assert not stat.S_IMODE(path.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH), (
        "other users must not be able to connect"
    )
    if path.parent != home:
        path.parent.unlink()


def test_up_makes_the_link_to_the_socket_again_after_the_system_deleted_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / ("l" * 150) / "dagster"
    home.mkdir(parents=True)
    link = socket_of(home).parent
    link.unlink()

    def end(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(DatabaseWatch, "mend", lambda *_: None)
    monkeypatch.setattr(time, "sleep", end)
    (home.parent / "logs").mkdir()
    settings = Settings(_env_file=None, data_dir=home.parent, image_encoder="builtin")
    with pytest.raises(KeyboardInterrupt):
        up._supervise(Console(), Supervisor(tmp_path, {}), settings, home, EncoderCheck(settings, {}))
    assert link.readlink() == home
    link.unlink()


def test_an_old_code_server_that_ends_late_does_not_remove_the_socket_of_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = socket_of(tmp_path)
    first.touch()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    second = socket_of(tmp_path)
    assert first.name != second.name
    assert list(tmp_path.glob("*.sock")) == []
