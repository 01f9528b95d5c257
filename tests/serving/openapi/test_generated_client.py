"""Test that a generated client can send scoring requests.

openapi-python-client generates the client from the OpenAPI document."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEY = "key-of-the-tests-0123456789"

USE = """
import base64, io, json, sys
from generated import AuthenticatedClient
from generated.api.scoring.score_v1_score_post import sync as score
from generated.models import ProblemOut, ScoreAnswer, ScoreRequest, ScoreV1ScorePostFilesScoreForm, ThumbnailIn
from generated.types import File

url, key, *paths = sys.argv[1:]
pictures = {path: open(path, "rb").read() for path in paths}
client = AuthenticatedClient(base_url=url, token=key)
listed = [ThumbnailIn(id=path, image_base64=base64.b64encode(data).decode()) for path, data in pictures.items()]
files = [File(io.BytesIO(data), path, "image/jpeg") for path, data in pictures.items()]
bodies = [
    ScoreRequest(title="I tested every phone", thumbnails=listed),
    ScoreV1ScorePostFilesScoreForm(title="I tested every phone", thumbnails=files),
]
answers = [score(client=client, body=body) for body in bodies]
assert all(isinstance(answer, ScoreAnswer) for answer in answers), answers
problem = score(client=client, body=ScoreRequest(title=" ", thumbnails=listed))
assert isinstance(problem, ProblemOut), problem
print(json.dumps([[answer.winner, answer.verdict.value, problem.detail] for answer in answers]))
"""


@pytest.mark.slow
def test_a_generated_client_scores_in_json_and_in_a_form(
    service: Any, draw: Callable[..., bytes], tmp_path: Path
) -> None:
    # The generator runs ruff, so put the folder of ruff on the path.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    # The generator does not support these two media types, so this setting makes it treat such answers as bytes.
    overrides = "image/jpeg: application/octet-stream, application/vnd.apache.arrow.file: application/octet-stream"
    (tmp_path / "config.yml").write_text(f"content_type_overrides: {{{overrides}}}\n")
    command = ["openapi-python-client", "generate", "--url", f"{service.url}/openapi.json", "--meta", "none"]
    command += ["--config", str(tmp_path / "config.yml")]
    made = subprocess.run(
        [*command, "--output-path", tmp_path / "generated", "--fail-on-warning"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    # The generator (0.29) forgets to import `Unset` in the module of a request that may be JSON or a form.
    module = tmp_path / "generated" / "api" / "scoring" / "score_v1_score_post.py"
    module.write_text(module.read_text().replace("import UNSET, Response\n", "import UNSET, Response, Unset\n"))
    for n in range(2):
        (tmp_path / f"p{n}.jpg").write_bytes(draw(n))
    (tmp_path / "use.py").write_text(USE)
    used = subprocess.run(
        [sys.executable, "use.py", service.url, KEY, "p0.jpg", "p1.jpg"], capture_output=True, text=True, cwd=tmp_path
    )
    assert used.returncode == 0, used.stdout + used.stderr
    by_json, by_form = json.loads(used.stdout)
    plain = service.score(draw(0), draw(1), title="I tested every phone")
    assert by_json == by_form
    assert by_json[:2] == [plain["winner"], plain["verdict"]]
    assert by_json[2].startswith("title: ")
