"""Install the packages of the image `serving` in a new environment, as the Dockerfile does, and score a picture."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from composed import ROOT, until
from test_extras import FORBIDDEN

from demo.planted_map import publish_planted_map
from thumblab_core.releases.release_store import ReleaseStore

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1500)]

KEY = "a-key-of-the-serving-set"


def megabytes(packages: Path) -> int:
    """Return the size of installed packages in MB. Compiled bytecode is left out, because not every environment has it."""
    files = (path for path in packages.rglob("*") if path.suffix != ".pyc" and not path.is_symlink() and path.is_file())
    return round(sum(path.stat().st_size for path in files) / 1e6)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A new virtual environment with requirements-serving.lock and the service's own packages.

    The first test trims the environment: it removes files that the service does not need.
    """
    place = tmp_path_factory.mktemp("serving")
    uv = [sys.executable, str(ROOT / ".ci" / "uv.py")]
    into = ["pip", "install", "--quiet", "--python", str(place / "venv")]
    code = place / "lab"
    code.mkdir()
    for name in ("thumblab_core", "thumblab_serving", "thumblab_client", "thumblab_cli"):
        shutil.copytree(ROOT / name, code / name, ignore=shutil.ignore_patterns("__pycache__", "build"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, code / name)
    for command in (
        [*uv, "venv", "--quiet", "--python", sys.executable, str(place / "venv")],
        [*uv, *into, "--no-deps", "-r", str(ROOT / "requirements-serving.lock")],
        [*uv, *into, "--no-deps", "--editable", str(code)],
    ):
        subprocess.run(command, check=True)
    yield place / "venv"
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def packages(environment: Path) -> Path:
    return next((environment / "lib").glob("python*/site-packages"))


def test_the_serving_set_is_printed_in_megabytes_and_has_no_forbidden_package(
    environment: Path, packages: Path
) -> None:
    # This test removes files that the service does not need, and later tests use the trimmed packages. This test must
    # therefore be the first one.
    script = "import importlib.metadata as m, json; print(json.dumps([d.metadata['Name'] for d in m.distributions()]))"
    done = subprocess.run([environment / "bin" / "python", "-c", script], capture_output=True, text=True, check=True)
    names = {name.lower().replace("_", "-") for name in json.loads(done.stdout)}
    assert {"openvino", "fastapi", "thumblab"} <= names
    assert not names & FORBIDDEN
    full = megabytes(Path(next(path for path in sys.path if path.endswith("site-packages"))))
    installed = megabytes(packages)
    subprocess.run([sys.executable, ROOT / "deploy" / "trim.py", packages], check=True)
    trimmed = megabytes(packages)
    print(
        f"\npackages of `make setup`: {full} MB; of serving: {installed} MB, trimmed {trimmed} MB ({trimmed / full:.0%})"
    )
    assert trimmed < installed < full


def test_a_service_of_the_serving_set_scores_over_http(
    environment: Path, packages: Path, tmp_path: Path, drawn: Callable[..., bytes]
) -> None:
    publish_model()(ReleaseStore(tmp_path / "releases"))
    publish_planted_map(ReleaseStore(tmp_path / "releases"), 100, "tech")
    log = (tmp_path / "log").open("wb")
    port = 20_000 + os.getpid() % 10_000
    variables = {"THUMBLAB_DATA_DIR": str(tmp_path), "THUMBLAB_IMAGE_ENCODER": "builtin", "THUMBLAB_API_KEY": KEY}
    service = subprocess.Popen(
        [environment / "bin" / "python", "-m", "thumblab_serving", "--port", str(port)],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1", **variables},
        cwd=tmp_path, stdout=log, stderr=log,
    )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    try:

        def answers() -> bool:
            assert service.poll() is None, (tmp_path / "log").read_text()
            try:
                return httpx.get(f"{base}/health", timeout=10, trust_env=False).status_code == 200
            except httpx.HTTPError:
                return False

        until(answers, 300, "the service answers")
        scored = httpx.post(
            f"{base}/v1/score",
            data={"title": "I tested every phone", "category": "tech"},
            files=[("thumbnails", (f"{seed}.jpg", drawn(seed))) for seed in (1, 2)],
            headers={"X-API-Key": KEY},
            timeout=600,
            trust_env=False,
        )
        assert scored.status_code == 200, scored.text + (tmp_path / "log").read_text()
        pictures = scored.json()["thumbnails"]
        assert [picture["error"] for picture in pictures] == [None, None]
        # The answer shows that the text reader ran, so OpenVINO works without the removed files.
        assert "no text reader" not in scored.text
        # The service sends the files of library maps unchanged, so it needs no pyarrow, which this environment lacks.
        for path in ("map", "map/atlases", "clusters"):
            url = f"{base}/v1/library/tech/{path}"
            reply = httpx.get(url, headers={"X-API-Key": KEY}, timeout=60, trust_env=False)
            assert reply.status_code == 200, (path, reply.text, (tmp_path / "log").read_text())
    finally:
        service.terminate()
        service.wait(60)
        log.close()


def test_the_command_prints_the_key_without_the_packages_of_the_pipelines(environment: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [environment / "bin" / "thumblab", "key"],
        env={"PATH": "/usr/bin:/bin", "THUMBLAB_DATA_DIR": str(tmp_path), "THUMBLAB_API_KEY": KEY},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{KEY}\n"), done.stderr


def publish_model() -> Callable[[ReleaseStore], None]:
    """Return the function `publish_model` of tests/cli/served_model.py. This function publishes a small model."""
    spec = importlib.util.spec_from_file_location("served_model_of_cli", ROOT / "tests" / "cli" / "served_model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    publish: Callable[[ReleaseStore], None] = module.publish_model
    return publish
