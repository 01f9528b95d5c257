"""Check the file of the systemd service with `systemd-analyze`, which needs no running systemd."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from composed import ROOT

UNIT = ROOT / "deploy" / "thumblab.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    # systemd checks that the commands exist, so the test replaces the paths of the commands with paths in its own
    # environment.
    here = UNIT.read_text().replace("/srv/thumblab/.venv/bin", str(Path(sys.executable).parent))
    (tmp_path / UNIT.name).write_text(here)
    done = subprocess.run(["systemd-analyze", "verify", str(tmp_path / UNIT.name)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_stops_the_database_after_the_servers() -> None:
    text = UNIT.read_text()
    assert "ExecStart=/srv/thumblab/.venv/bin/thumblab up\n" in text
    assert "KillMode=mixed\nExecStopPost=-/srv/thumblab/.venv/bin/thumblab db stop\n" in text
    assert "THUMBLAB_DATA_DIR=%S/thumbnail-lab" in text
