"""Say how many cores this process may use."""

import os


def usable_cores() -> int:
    """Return how many threads of this process may compute at the same time.

    This is the value of the variable OMP_NUM_THREADS, which PyTorch and numpy also use. Ray sets this variable in each
    of its worker processes. Without the variable, it is the number of cores of the machine.
    """
    return core_limit() or os.cpu_count() or 1


def core_limit() -> int | None:
    """Return the number in OMP_NUM_THREADS, or None if the variable is not set to a positive number."""
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(limit) if limit.isdecimal() and int(limit) > 0 else None
