"""Test that a client which openapi-python-client generates from the OpenAPI document can score."""

import subprocess
import sys
from pathlib import Path
from typing import Any

KEY = "key-of-the-tests-0123456789"

USE = """
import sys
from io import BytesIO
from pathlib import Path

from thumbnail_lab_client import AuthenticatedClient
from thumbnail_lab_client.api.scoring import score_v1_score_post as score
from thumbnail_lab_client.models import ScoreAnswer, ScoreRequest, ThumbnailIn
"""


def generate(service: Any, folder: Path) -> Path:
    command = ["generate", "--url", f"{service.url}/openapi.json", "--output-path", str(folder), "--meta", "none"]
    done = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", *command, "--fail-on-warning"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
