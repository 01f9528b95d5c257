"""Promises of the servers as child processes: none outlives the lab, however the lab went and whatever a server does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
WITH_WORKER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"
POLITE = "import time; print('up', flush=True); time.sleep(600)"

LAB = """
import json, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
from pathlib import Path
from thumblab_cli.processes import Server, Supervisor
folder, commands = Path(sys.argv[1]), json.loads(sys.argv[2])
with Supervisor(folder, {}, patience=2) as supervisor:
    for name, command in commands.items():
        supervisor.start(Server(name, [sys.executable, "-c", command], None, None))
    while not all("up" in (folder / "logs" / f"{name}.log").read_text() for name in commands):
        time.sleep(0.02)
    print("all up", flush=True)
    time.sleep(600)
"""


def lab(folder: Path, **commands: str) -> tuple["subprocess.Popen[str]", list[psutil.Process]]:
    """A lab with those servers, all of them up, and every process below it."""
    process = subprocess.Popen(
        [sys.executable, "-c", LAB, str(folder), json.dumps(commands)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "all up\n"
    return process, psutil.Process(process.pid).children(recursive=True)


def gone(processes: list[psutil.Process], within: float) -> bool:
    return not psutil.wait_procs(processes, within)[1]


def test_a_lab_that_is_killed_leaves_no_server_not_even_one_that_does_not_listen(tmp_path: Path) -> None:
    process, below = lab(tmp_path, polite=POLITE, stubborn=STUBBORN, worker=WITH_WORKER)
    process.kill()
    process.wait()
    try:
        assert gone(below, 25)
    finally:
        for left in below:
            if left.is_running():
                left.kill()


def test_a_lab_that_ends_well_leaves_no_server_and_no_watcher(tmp_path: Path) -> None:
    process, below = lab(
        tmp_path,
        polite=POLITE,
        worker=f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {POLITE!r}]); time.sleep(600)",
    )
    assert len(below) == 4
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert gone(below, 5)


def test_ctrl_c_reaches_no_process_but_the_lab(tmp_path: Path) -> None:
    """A terminal sends it to every process of the session: what ends the servers must not be ended by it."""
    process, below = lab(tmp_path, polite=POLITE)
    sessions = {os.getsid(one.pid) for one in below}
    process.kill()
    process.wait()
    assert os.getsid(0) not in sessions
    assert gone(below, 15)


def test_without_what_watches_over_them_servers_still_end_with_an_orderly_end(tmp_path: Path) -> None:
    process, below = lab(tmp_path, polite=POLITE)
    (watching,) = [one for one in below if "last_will.py" in " ".join(one.cmdline())]
    watching.kill()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert gone(below, 5)
