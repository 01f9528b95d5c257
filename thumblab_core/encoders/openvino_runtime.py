"""Import OpenVINO safely. Import `ov` from here, and import this module before NNCF or other users of OpenVINO.

The import order and the `Core` class below avoid four problems:

Telemetry
    OpenVINO's converter and NNCF report their use to their makers if the package openvino-telemetry can be imported,
    which is installed with OpenVINO. The lab reports to nobody. Without that package, both go on silently.

Deadlock
    OpenVINO's bindings set up their part of numpy when an array first meets a tensor. Two threads that do so at the
    same time wait for each other forever. Doing it here, under the import lock, means that one thread does it before
    any other.

Crash on a signal
    No `Core` may be destroyed while the process runs. Its CPU plugin gives the thread that first compiles a model
    another signal stack. When a `Core` is destroyed, it frees that memory and restores the stack from before. If two
    are destroyed in the order of their creation, the second restores the stack of the first, which has been freed. The
    next signal with a handler in Python, such as SIGTERM or Ctrl-C, then kills the process with a segmentation fault.
    Seen with OpenVINO 2026.4; see `SigAltStackSetup` in its CPU plugin.

Memory
    A model caches what it compiled for each of the last 5,000 input shapes. The text reader, whose pictures and lines
    have many shapes, grew by 2.4 MB per picture without limit.
"""

import sys
from typing import Any

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: importing it raises ImportError

import numpy as np  # noqa: E402
import openvino as ov  # noqa: E402

_ = ov.Tensor(np.zeros(1, np.float32)).data

_cores: list[ov.Core] = []
"""Keeps every `Core` alive until the process ends."""

_SHAPES = {"CPU_RUNTIME_CACHE_CAPACITY": 64}
"""Cached shapes. With more than 64 the text reader gains at most 7% of its time, for memory without limit."""


class _LastingCore(ov.Core):  # type: ignore[misc]  # OpenVINO has no types
    """A `Core` that lasts until the process ends and caches few shapes.

    It replaces `ov.Core`, so that RapidOCR and NNCF, which make their own, use it as well.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.set_property("CPU", _SHAPES)
        _cores.append(self)


ov.Core = _LastingCore

__all__ = ["ov"]
