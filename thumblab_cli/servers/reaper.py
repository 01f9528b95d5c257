"""End the servers that a process leaves behind, even if the process was killed.

The parent process runs this module as a script. The script reads from a pipe, to which only the parent writes. The
parent writes a line `+PGID` for each process group that it starts, and `-PGID` for each group that has ended.

When the parent ends, the kernel closes the pipe. The script then sends SIGTERM to the process groups that still run.
The script waits for the number of seconds in its argument. Then the script sends SIGKILL to the groups that have not
ended.
"""

import os
import signal
import sys
import time


def groups_left() -> set[int]:
    """Read the pipe until the parent ends, and return the process groups that have not ended."""
    groups: set[int] = set()
    for line in sys.stdin:
        number = int(line)
        groups = groups - {-number} if number < 0 else groups | {number}
    return groups


def signal_all(groups: set[int], number: int) -> set[int]:
    """Send the signal to every process of the groups, and return the groups that still have a process.

    Signal 0 does not affect the processes. Signal 0 only checks whether the processes exist.
    """
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
