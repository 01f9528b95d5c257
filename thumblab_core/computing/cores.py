"""Say how many cores this process may compute with."""

import os


def usable_cores() -> int:
    """Return the number of threads that compute at the same time in this process.

    The variable OMP_NUM_THREADS limits the number, as it does in PyTorch and numpy. Ray sets it in each worker process.
    Without the variable, the number is the number of cores.
    """
    return core_limit() or os.cpu_count() or 1


def core_limit() -> int | None:
    """Return the number in OMP_NUM_THREADS, or None if the variable is not set to a positive number."""
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(limit) if limit.isdecimal() and int(limit) > 0 else None
