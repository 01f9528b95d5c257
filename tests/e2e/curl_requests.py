"""Send requests to the scoring service of a running lab with `curl`, as the documentation shows them."""

import json
import shlex
import shutil
import subprocess
from typing import Any

from real_processes import RunningLab

CURL = shutil.which("curl")


def curl(lab: RunningLab, line: str) -> tuple[int, dict[str, Any]]:
    """Send the request of a line that begins with `curl`. Return the status and the JSON of the answer."""
    arguments = shlex.split(line.replace("http://localhost:8000", lab.up.url("scoring")))
    arguments += ["-sS", "-H", f"X-API-Key: {lab.key}", "-w", "\n%{http_code}"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=700)
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def post(lab: RunningLab, path: str, body: object = None, **query: object) -> tuple[int, dict[str, Any]]:
    given = "" if body is None else f" -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
    words = "&".join(f"{name}={value}" for name, value in query.items())
    return curl(lab, f"curl -X POST 'http://localhost:8000{path}?{words}'{given}")
