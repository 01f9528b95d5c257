"""Test the wheel of the Python client. The wheel needs only httpx, and works without the lab's package."""

import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from thumblab_core.settings import CHECKOUT

USE = """
import sys
from thumblab_client import AsyncClient, Client
with Client(sys.argv[1], "key-of-the-tests-0123456789") as client:
    print(client.score("I tested every phone", sys.argv[2:]).verdict)
lab = ("thumblab_core", "thumblab_serving", "thumblab_cli", "pydantic", "numpy", "mcp")
print([name for name in lab if name in sys.modules], client.__class__.__module__, sys.modules["thumblab_client"].__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    source = shutil.copytree(CHECKOUT / "thumblab_client", folder / "source", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", folder / "made", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = (folder / "made").iterdir()
    return made


def test_the_wheel_is_small_typed_and_needs_only_httpx(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if name.endswith("/METADATA")]
        about = HeaderParser().parsestr(archive.read(metadata).decode())
    assert "thumblab_client/py.typed" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"thumblab_client"}
    sources = {path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "thumblab_client").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == {s for s in sources if "/build/" not in s}
    required = [name for name in about.get_all("Requires-Dist", []) if "extra ==" not in name]
    assert [name.split(">")[0] for name in required] == ["httpx"]
    assert wheel.stat().st_size < 100_000


def test_the_wheel_scores_without_the_lab(wheel: Path, service, files, tmp_path) -> None:
    # `-I` keeps the checkout off Python's module path, so the client can only be imported from the wheel.
    code = f"import sys; sys.path.insert(0, {str(wheel)!r})\n{USE}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, service.url, *map(str, files)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    verdict, imported = done.stdout.strip().splitlines()
    assert verdict in ("clear", "leaning", "too_close_to_call")
    assert imported.startswith("[] thumblab_client.synchronous ")
    assert str(wheel) in imported
