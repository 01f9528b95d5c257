"""Make a CLIP model with two layers and random weights. The lab loads this model in the same way as ViT-L/14."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "tiny-test-clip"
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@dataclass(frozen=True)
class TinyClip:
    """A small CLIP model with its name in open_clip and the file of its weights."""

    name: str
    weights: Path
    model: Any

    @property
    def setting(self) -> str:
        """The value of THUMBLAB_IMAGE_ENCODER with which the lab loads this model."""
        return f"open_clip:{self.name}/{self.weights}"


def tiny_clip(folder: Path) -> TinyClip:
    """Write the model's weights into `folder`, and register the model with open_clip in this process."""
    import thumblab_core.encoders.torchvision_operators  # noqa: F401, I001  before open_clip imports torchvision

    import open_clip
    import torch

    (folder / f"{NAME}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / f"{NAME}.json")
    torch.manual_seed(0)
    model = open_clip.create_model(NAME).eval()
    torch.save(model.state_dict(), folder / "weights.pt")
    return TinyClip(NAME, folder / "weights.pt", model)
