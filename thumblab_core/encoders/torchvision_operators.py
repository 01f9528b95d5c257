"""Make torchvision importable beside a CPU-only torch. Import this module before anything that imports torchvision.

PyPI's torchvision is built for CUDA, and its compiled operators do not load beside a CPU-only torch. Importing it, as
open_clip and transformers do, then fails with "operator torchvision::nms does not exist". Declaring the two operators
that its Python code refers to is enough, because the lab never calls them.
"""

import contextlib

import torch

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        with contextlib.suppress(RuntimeError):  # another thread has declared it in the meantime
            torch.library.define(f"torchvision::{_name}", _SIGNATURE)
