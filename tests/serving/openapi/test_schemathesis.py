"""Test the service with Schemathesis, which derives requests from the OpenAPI document and checks every answer.

All checks are on. There must be no status 500, and only documented statuses, headers, media types and bodies. Invalid
requests, undocumented methods and requests without a key must be refused. Valid requests must be accepted.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KEY = "key-of-the-tests-0123456789"
SETTINGS = Path(__file__).with_name("schemathesis.toml")


def schemathesis(service: Any, folder: Path, *options: str) -> str:
    """Run Schemathesis against a service, and return its output. A failed check fails the test."""
    program = [Path(sys.executable).with_name("schemathesis"), "--config-file", SETTINGS]
    command = [*program, "--no-color", "run", f"{service.url}/openapi.json"]
    done = subprocess.run(
        [*command, "-H", f"X-API-Key: {KEY}", "--checks", "all", "--seed", "1", "--request-timeout", "60", *options],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "requests_beyond_openapi", "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    return done.stdout


@pytest.mark.slow
def test_the_examples_and_the_limits_of_every_field_pass_all_checks(whole_service: Any, tmp_path: Path) -> None:
    schemathesis(whole_service, tmp_path, "--phases", "examples,coverage", "--continue-on-failure")


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_random_requests_pass_all_checks(whole_service: Any, tmp_path: Path) -> None:
    print(schemathesis(whole_service, tmp_path, "--max-examples", "100", "--continue-on-failure")[-3000:])
