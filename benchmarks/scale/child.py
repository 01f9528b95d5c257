"""Prepare or run one stage in this process, and write its measurement to a file.

    python -m benchmarks.scale.child prepare|run STAGE SIZE FOLDER RESULT

The benchmark starts this module in a new process for each measurement.
"""

import ctypes
import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from benchmarks.scale.stage import Measurement, Stage
from benchmarks.scale.stages import named

_SET_CHILD_SUBREAPER = 36
"""The number of `PR_SET_CHILD_SUBREAPER` in linux/prctl.h."""
_REAP_SECONDS = 10.0
"""How long this process waits for children that were told to end, such as a database server."""


def main() -> None:
    action, name, size, folder, result = sys.argv[1:]
    stage = named(name)
    if action == "prepare":
        stage.prepare(int(size), Path(folder))
        return
    Path(result).write_text(json.dumps(measured(stage, int(size), Path(folder)).as_json()))


def measured(stage: Stage, size: int, folder: Path) -> Measurement:
    """Run a stage in this process, and return its measurement."""
    # A daemon such as PostgreSQL ends its parent process, and so gets another parent. As a subreaper, this process
    # becomes the new parent, so that the processor time of the daemon counts.
    if ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("this process cannot become a subreaper; the benchmark needs Linux 3.4 or newer")
    before, start = _cpu(), time.perf_counter()
    figures: Mapping[str, float] | None = stage.run(size, folder)
    wall = time.perf_counter() - start
    _reap()
    living = _living()
    own, children = (
        resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return Measurement(
        cpu=_cpu() - before + sum(seconds for seconds, _ in living),
        wall=wall,
        memory=own,
        children=max([children, *(peak for _, peak in living)]),
        figures={name: float(value) for name, value in (figures or {}).items()},
    )


def _cpu() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _reap() -> None:
    """Wait until all children have ended, for at most `_REAP_SECONDS`. The system counts the processor time of a child
    only after such a wait.
    """
    ends = time.monotonic() + _REAP_SECONDS
    with suppress(ChildProcessError):
        while time.monotonic() < ends:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.05)


def _living() -> list[tuple[float, int]]:
    """Return the processor seconds and the peak memory in bytes of each descendant that is still running."""
    import psutil

    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, OSError):
            times = process.cpu_times()
            status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
            peak = int(status.get("VmHWM", "0 kB").split()[0]) * 1024
            found.append((times.user + times.system + times.children_user + times.children_system, peak))
    return found


if __name__ == "__main__":
    main()
