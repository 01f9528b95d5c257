"""Ends the servers that a lab leaves behind, however it went: run as a script, it outlives its parent by a few seconds.

Its stdin is a pipe that only the parent writes to, one line `+PGID` for each session it starts and `-PGID` for each that has
ended. The kernel closes the pipe when the parent is gone; what is then left is asked to end, and made to after as many
seconds as its argument says.
"""

import os
import signal
import sys
import time


def left() -> set[int]:
    """Read to the end of the pipe."""
    groups: set[int] = set()
    for line in sys.stdin:
        number = int(line)
        groups = groups - {-number} if number < 0 else groups | {number}
    return groups


def tell(groups: set[int], number: signal.Signals) -> set[int]:
    """Send the signal to every process of the sessions; those that have any."""
    found = set()
    for group in groups:
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            continue
        found.add(group)
    return found


def main(patience: float) -> None:
    groups = tell(left(), signal.SIGTERM)
    deadline = time.monotonic() + patience
    while groups and time.monotonic() < deadline:
        time.sleep(0.1)
        groups = {group for group in groups if exists(group)}
    tell(groups, signal.SIGKILL)


def exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main(float(sys.argv[1]))
