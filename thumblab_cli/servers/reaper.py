"""End the servers that a process leaves behind, however it ended. Run as a script, it outlives its parent by seconds.

Its stdin is a pipe that only the parent writes to: a line `+PGID` for each process group that it starts, and `-PGID` for
each that has ended. The kernel closes the pipe when the parent ends. Groups that are left then get SIGTERM, and SIGKILL
after as many seconds as the argument says.
"""

import os
import signal
import sys
import time


def groups_left() -> set[int]:
    """Read to the end of the pipe, and return the groups that have not ended."""
    groups: set[int] = set()
    for line in sys.stdin:
        number = int(line)
        groups = groups - {-number} if number < 0 else groups | {number}
    return groups


def signal_all(groups: set[int], number: int) -> set[int]:
    """Send the signal to every process of the groups, and return the groups that have any. Signal 0 only checks."""
    alive = set()
    for group in groups:
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            continue
        alive.add(group)
    return alive


def main(patience: float) -> None:
    groups = signal_all(groups_left(), signal.SIGTERM)
    deadline = time.monotonic() + patience
    while groups and time.monotonic() < deadline:
        time.sleep(0.1)
        groups = signal_all(groups, 0)
    signal_all(groups, signal.SIGKILL)


if __name__ == "__main__":
    main(float(sys.argv[1]))
