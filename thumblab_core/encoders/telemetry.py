"""Import this before OpenVINO's converter or NNCF.

Both report what they are used for to their makers where the package openvino-telemetry can be imported, and it is installed
with OpenVINO. The lab reports to nobody. Without that package both go on silently, which this module arranges.
"""

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: importing it raises ImportError
