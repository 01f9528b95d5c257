"""OpenVINO as the lab uses it: import `ov` from here, and this module before NNCF or anything that imports OpenVINO itself.

Two things have to come first. OpenVINO's converter and NNCF report what they are used for to their makers where the package
openvino-telemetry can be imported, and it is installed with OpenVINO; the lab reports to nobody, and without that package
both go on silently. And OpenVINO's bindings set up what they need of numpy when an array first meets a tensor: two threads
that do so at once wait for each other for ever. The import lock lets one thread do it, before any other can.
"""

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: importing it raises ImportError

import numpy as np  # noqa: E402
import openvino as ov  # noqa: E402

_ = ov.Tensor(np.zeros(1, np.float32)).data

__all__ = ["ov"]
