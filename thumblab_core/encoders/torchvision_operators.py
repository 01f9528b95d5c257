"""Make torchvision importable with a CPU-only torch. Import this module before anything that imports torchvision.

PyPI's torchvision is built for CUDA, and its compiled operators do not load with a CPU-only torch. open_clip and
transformers import torchvision, which then fails with "operator torchvision::nms does not exist". This module declares
the two operators that torchvision's Python code refers to. That is enough, because the lab never calls them.
"""

import contextlib

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        # The error means that another thread has already declared the operator.
        with contextlib.suppress(RuntimeError):
            torch.library.define(f"torchvision::{_name}", _SIGNATURE)
