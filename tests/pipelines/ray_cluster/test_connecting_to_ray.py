"""Tests of the connection to a Ray cluster, and of the errors if a connection is refused.

Without an address of a cluster, the lab does not use Ray.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from two_nodes import ray_nodes

from thumblab_core.computing.cores import usable_cores
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_pipelines.ray_cluster import node_facts
from thumblab_pipelines.ray_cluster.cluster import cluster_of
from thumblab_pipelines.ray_cluster.connection import ClusterError

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("", ""), (" ", ""), ("auto", "auto"), ("local", "local"), ("Head:6379", "head:6379"), ("[::1]:80", "[::1]:80")],
)
def test_an_address_is_normalised(given: str, kept: str) -> None:
    assert Settings(ray_address=given).ray_address == kept


@pytest.mark.parametrize("given", ["head", "ray://head:10001", "http://head:6379", "head:0", "head:70000", "a b:1"])
def test_another_address_is_refused_with_the_forms_that_are_allowed(given: str) -> None:
    with pytest.raises(ValidationError, match="is no address of a Ray cluster; use HOST:PORT, `auto`, `local`"):
        Settings(ray_address=given)


def test_without_an_address_there_is_no_cluster_and_ray_is_not_imported(tmp_path: Path) -> None:
    script = """
import json, sys
from collections import Counter
from thumblab_core.settings import Settings
from thumblab_pipelines.features import embed, sub_scores
from thumblab_pipelines.ray_cluster.computed import computed
from thumblab_pipelines.training import train
print(list(computed(Settings(), iter, [1, 2], Counter())))
print(json.dumps([name for name in sys.modules if name.split(".")[0] == "ray"]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[1, 2], []]


def test_without_ray_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # From this line on, importing ray raises an error.
    with pytest.raises(LabError, match=r"Ray is not installed here .* run pip install 'thumblab\[ray\]'"):
        cluster_of(Settings(data_dir=tmp_path, ray_address="auto"))


def test_a_cluster_that_does_not_answer_is_an_error_that_may_pass(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    expected = f"the Ray cluster {address} cannot be reached .*Connection refused.* start it with `ray start`"
    with pytest.raises(ClusterError, match=expected) as refused:
        cluster_of(Settings(data_dir=tmp_path, ray_address=address))
    assert refused.value.transient


@pytest.mark.parametrize(("limit", "cores"), [("3", 3), ("3,2", 3), ("0", None), ("many", None), ("", None)])
def test_the_number_of_threads_follows_omp_num_threads(
    limit: str, cores: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert usable_cores() == (cores or os.cpu_count())


def test_the_version_of_the_code_changes_with_each_module(tmp_path: Path) -> None:
    assert node_facts.versions() == node_facts.versions()
    assert {"Python", "numpy", "torch", "ray", node_facts.CODE} <= node_facts.versions().keys()
    assert node_facts.MISSING not in node_facts.versions().values()
    changed = _changed_code(tmp_path)
    script = f"import runpy; print(runpy.run_path({node_facts.__file__!r})['versions']()['code of the lab'])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=changed, env=_first(changed)
    )
    assert done.stdout.strip() not in (node_facts.versions()[node_facts.CODE], node_facts.MISSING)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_node_with_other_code_is_refused_and_named(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_pipelines.ray_cluster.cluster import cluster_of

try:
    cluster_of(Settings(data_dir=Path(sys.argv[1]), ray_address=sys.argv[2]))
except LabError as error:
    print(error)
"""
    # Ray lets the workers import from the folder that the driver runs in, so the driver runs in an empty folder.
    empty = tmp_path / "empty"
    empty.mkdir()
    with ray_nodes(1, PYTHONPATH=str(_changed_code(tmp_path / "code"))) as nodes:
        done = subprocess.run(
            [sys.executable, "-P", "-c", script, str(tmp_path), nodes.address],
            capture_output=True,
            text=True,
            check=True,
            cwd=empty,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )
    expected = (
        r"the node \S+ \(\S+\) of the Ray cluster could compute different results: code of the lab is \w+ there and "
    )
    assert re.match(expected, done.stdout.splitlines()[-1]), done.stdout
    assert "install the same commit and the same locked versions on every node" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_node_without_the_data_folder_is_refused_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ray_nodes(1) as nodes:
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        chosen = Settings(data_dir=tmp_path, ray_address=nodes.address)
        # All nodes of this test are on one machine and see the folder. The patch makes a node report that it does not
        # see the folder.
        with monkeypatch.context() as hidden, pytest.raises(LabError, match=f"does not see the data folder {tmp_path}"):
            hidden.setattr(node_facts, "sees", lambda path, text: False)
            cluster_of(chosen)
        assert cluster_of(chosen) is not None
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
        assert not list(tmp_path.glob(".ray-*"))
        with pytest.raises(LabError, match=r"this process is connected to the Ray cluster \S+ already"):
            cluster_of(chosen.model_copy(update={"ray_address": "auto"}))


def _changed_code(folder: Path) -> Path:
    """Copy the lab into `folder`, change one module, and return the folder."""
    for package in ("thumblab_core", "thumblab_pipelines"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "thumblab_core" / "views.py").open("a") as file:
        file.write("# A change.\n")
    return folder


def _first(folder: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(folder)}
