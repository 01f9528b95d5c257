"""OpenVINO as the lab uses it: import `ov` from here, and this module before NNCF or anything that imports OpenVINO itself.

Three things have to come first. OpenVINO's converter and NNCF report what they are used for to their makers where the
package openvino-telemetry can be imported, and it is installed with OpenVINO; the lab reports to nobody, and without that
package both go on silently. And OpenVINO's bindings set up what they need of numpy when an array first meets a tensor: two
threads that do so at once wait for each other for ever. The import lock lets one thread do it, before any other can.

And no `Core` may ever end. Its CPU plugin gives the thread that first compiles a model another stack for signals. When it
ends it takes that memory back, and the stack of before comes back: of two that end in the order in which they began, the
second brings back the first one's, which is gone. The next signal with a handler in Python, such as SIGTERM or Ctrl-C,
then kills the process with a segmentation fault (seen with OpenVINO 2026.4; `SigAltStackSetup` in its CPU plugin).

And a model keeps what it compiled for each of 5,000 shapes that it met: the text reader, whose pictures and lines have many
shapes, grew by 2.4 MB a picture without an end in sight.
"""

import sys
from typing import Any

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: importing it raises ImportError

import numpy as np  # noqa: E402
import openvino as ov  # noqa: E402

_ = ov.Tensor(np.zeros(1, np.float32)).data

_cores: list[ov.Core] = []


_SHAPES = {"CPU_RUNTIME_CACHE_CAPACITY": 64}
"""From 64 on a text reader is hardly faster: 7% of its time, for memory that has no end."""


class _LastingCore(ov.Core):  # type: ignore[misc]  # it has no types
    """A `Core` for the rest of the process that remembers few shapes, also for RapidOCR and NNCF, which make their own."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.set_property("CPU", _SHAPES)
        _cores.append(self)


ov.Core = _LastingCore

__all__ = ["ov"]
