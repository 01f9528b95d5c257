"""Import this before anything that imports torchvision.

PyPI's torchvision is built for CUDA. Beside a CPU-only torch its compiled operators do not load, and importing it, which
open_clip and transformers do, stops with "operator torchvision::nms does not exist". Declaring the two operators that
its Python code refers to is enough: nothing here ever calls them.
"""

import contextlib

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        with contextlib.suppress(RuntimeError):  # another thread declared it meanwhile
            torch.library.define(f"torchvision::{_name}", _SIGNATURE)
