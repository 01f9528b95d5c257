"""Tests of how the supervisor of `thumblab up` restarts servers and continues their logs."""

import sys
import time
from pathlib import Path

import psutil
from small_servers import POLITE, WITH_WORKER, children_with, gone, server, wait_until

from thumblab_cli.servers.logs import end_of_log
from thumblab_cli.servers.supervisor import Server, Supervisor


def test_a_server_that_ends_is_restarted_without_its_old_workers(tmp_path: Path) -> None:
    reports: list[str] = []
    with Supervisor(tmp_path, {}, pauses=(0, 0)) as supervisor:
        supervisor.start(server("steady", POLITE))
        supervisor.start(server("frail", WITH_WORKER))
        log = tmp_path / "logs" / "frail.log"
        wait_until(lambda: log.exists() and "up" in log.read_text())
        below = psutil.Process().children(recursive=True)
        (frail,) = children_with("subprocess.run")
        (worker,) = frail.children()
        frail.kill()
        wait_until(lambda: supervisor.mend(reports.append) or reports)
        assert gone([worker], 5), "a worker that still runs may use the port of its server"
        wait_until(lambda: log.read_text().count("up") == 2)
        assert len(psutil.Process().children(recursive=True)) == len(below)
    assert reports == [
        f"frail was killed by signal 9 (SIGKILL) (the whole log: {log}). It is started again now (restart 1)."
    ]


def test_a_server_that_the_supervisor_kills_is_started_again_at_once(tmp_path: Path) -> None:
    reports: list[str] = []
    with Supervisor(tmp_path, {}) as supervisor:
        supervisor.start(server("steady", POLITE))
        (before,) = children_with("time.sleep")
        supervisor.kill("steady")
        wait_until(lambda: supervisor.mend(reports.append) or reports)
        (after,) = children_with("time.sleep")
        assert after.pid != before.pid
        assert gone([before], 5)
    assert "steady was killed by signal 9 (SIGKILL)" in reports[0]


def test_a_restarted_server_is_reported_once_when_it_is_ready_again(tmp_path: Path) -> None:
    reports: list[str] = []
    starts: list[float] = []
    ready = tmp_path / "ready"

    def is_ready(start: float) -> bool:
        starts.append(start)
        return ready.exists()

    with Supervisor(tmp_path, {}) as supervisor:
        supervisor.start(Server("slow", [sys.executable, "-c", POLITE], None, is_ready))
        supervisor.mend(reports.append)
        assert not starts, "`mend` must not wait for the first start, because `wait` does"
        before = time.time()
        supervisor.kill("slow")
        wait_until(lambda: supervisor.mend(reports.append) or starts)
        assert len(reports) == 1
        ready.touch()
        supervisor.mend(reports.append)
        supervisor.mend(reports.append)
    assert before <= starts[-1] <= time.time()
    assert "slow was killed by signal 9 (SIGKILL)" in reports[0]
    assert [report.partition(",")[0] for report in reports[1:]] == ["slow is ready again"]


def test_a_server_that_keeps_ending_is_started_again_after_longer_and_longer_pauses(tmp_path: Path) -> None:
    reports: list[str] = []
    with Supervisor(tmp_path, {}, pauses=(0, 0, 300)) as supervisor:
        supervisor.start(server("hopeless", "print('no disk'); raise SystemExit(3)"))
        supervisor.start(server("steady", POLITE))
        wait_until(lambda: supervisor.mend(reports.append) or len(reports) == 3)
        supervisor.mend(reports.append)
        supervisor.start(server("steady 2", POLITE))
        supervisor.mend(reports.append)
    assert [report.rpartition("It is started again ")[2] for report in reports] == [
        "now (restart 1).",
        "now (restart 2).",
        "in 300 s (restart 3).",
    ]
    assert all(report.startswith("hopeless ended with status 3: ") for report in reports)
    assert all("no disk (the whole log: " in report for report in reports)


def test_a_log_continues_after_its_writer_was_killed_and_after_the_server_ended(tmp_path: Path) -> None:
    program = "import time; print('up', flush=True); time.sleep(600)"
    with Supervisor(tmp_path, {}, pauses=(0,)) as supervisor:
        supervisor.start(server("talks", f"import os; os.write(1, b'first\\n'); {program}"))
        wait_until(lambda: end_of_log(tmp_path / "logs" / "talks.log", 9) == ["first", "up"])
        (keeper,) = children_with("log_keeper.py")
        keeper.kill()
        wait_until(lambda: not keeper.is_running() or keeper.status() == psutil.STATUS_ZOMBIE)
        supervisor.mend(lambda _: None)
        (talks,) = children_with("import os; os.write")
        talks.terminate()
        wait_until(lambda: supervisor.mend(lambda _: None) or len(end_of_log(tmp_path / "logs" / "talks.log", 9)) == 4)
    assert end_of_log(tmp_path / "logs" / "talks.log", 9) == ["first", "up", "first", "up"]
