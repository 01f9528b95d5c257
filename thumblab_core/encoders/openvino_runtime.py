"""Import OpenVINO safely.

Import `ov` from here, and import this module before NNCF and every other package that uses OpenVINO.

The import order and the `Core` class below avoid four problems:

Telemetry
    OpenVINO's converter and NNCF report their use to their makers if they can import the package openvino-telemetry,
    which is installed with OpenVINO. The lab must report to nobody, so this module makes that import fail. The
    converter and NNCF then work without a report.

Deadlock
    OpenVINO's bindings initialise their numpy support when a tensor is first used with an array. Two threads that do
    this at the same time wait for each other forever. Therefore this module uses a tensor with an array when it is
    imported. Python's import lock ensures that only one thread does so, before any other thread can use OpenVINO.

Crash on a signal
    No `Core` may be destroyed while the process runs. The CPU plugin of a `Core` gives a new signal stack to the thread
    that first compiles a model. When the `Core` is destroyed, the plugin frees this stack and restores the stack that
    the thread had before. If two cores are destroyed in the order of their creation, the second core restores the stack
    of the first core, although this stack was freed before. The next signal with a handler in Python, such as SIGTERM
    or Ctrl-C, then kills the process with a segmentation fault. This happened with OpenVINO 2026.4. The cause is in
    `SigAltStackSetup` in OpenVINO's CPU plugin.

Memory
    By default, a model caches what it compiled for each of the last 5,000 input shapes. The pictures and lines of text
    that the text reader passes to its models have many shapes. So the memory of the process grew by 2.4 MB with each
    picture, without a practical limit. Therefore the `Core` below sets a smaller limit, `_SHAPES`.
"""

import sys
from typing import Any

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # With None, an import raises ImportError

import numpy as np  # noqa: E402
import openvino as ov  # noqa: E402

from thumblab_core.computing.cores import core_limit  # noqa: E402

_ = ov.Tensor(np.zeros(1, np.float32)).data

_cores: list[ov.Core] = []
"""All `Core` objects. The list keeps them alive until the process ends."""

_SHAPES = {"CPU_RUNTIME_CACHE_CAPACITY": 64}
"""The largest number of input shapes that a model caches.

Without the limit, memory would grow, and reading text would take at most 7 % less time.
"""


class _LastingCore(ov.Core):  # type: ignore[misc]  # OpenVINO has no types
    """A `Core` that lasts until the process ends. Its models cache at most 64 input shapes.

    It uses at most OMP_NUM_THREADS threads. They may run on any core of the machine.

    This class replaces `ov.Core`, so that RapidOCR and NNCF use it too.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.set_property("CPU", _SHAPES)
        # OpenVINO does not read OMP_NUM_THREADS, and would use all cores in each of several workers on a machine.
        if (threads := core_limit()) is not None:
            # By default, OpenVINO binds its threads to the first cores, so several workers would share these cores.
            self.set_property("CPU", {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False})
        _cores.append(self)


ov.Core = _LastingCore

__all__ = ["ov"]
