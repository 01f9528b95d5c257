"""A CLIP image tower cut in two before one of its transformer blocks: what stays as it is, and what is trained."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from thumblab_core.errors import LabError

Blocks = list[tuple[str, nn.Module]]
"""Names as in the tower's own `named_modules`, in the order in which a picture passes them."""

ALL: Literal["all"] = "all"


@dataclass(frozen=True)
class _Anatomy:
    """The parts of a tower: `embedding` and `ending` name modules and parameters, `embed` and `end` compute them."""

    embedding: tuple[str, ...]
    blocks: Blocks
    ending: tuple[str, ...]
    embed: Callable[[Tensor], Tensor]
    """float32 [n, 3, h, w] to tokens [n, t, w]."""
    end: Callable[[Tensor], Tensor]
    """Tokens [n, t, w] to vectors [n, d], of any length."""


def blocks_of(visual: Any) -> Blocks:
    """The transformer blocks of an open_clip image tower. Raises `LabError` for a tower that has none."""
    return _anatomy(visual).blocks


class TrainableTower:
    """An image tower of which the last `blocks` transformer blocks and all that comes after them learn.

    `"all"` is the whole tower, with what turns a picture into tokens; a number of all blocks leaves that as it is. Every
    other parameter is frozen. The tower computes as it will when it is used: without dropout.
    """

    def __init__(self, visual: Any, blocks: int | Literal["all"]) -> None:
        anatomy = _anatomy(visual)
        count = len(anatomy.blocks) if blocks == ALL else blocks
        if not 1 <= count <= len(anatomy.blocks):
            raise LabError(f"the image tower has {len(anatomy.blocks)} blocks; {blocks} of them cannot be fine-tuned")
        self._anatomy = anatomy
        self._first = len(anatomy.blocks) - count
        self.whole = blocks == ALL
        self._modules = [module for _, module in anatomy.blocks]
        self.blocks = tuple(name for name, _ in anatomy.blocks[self._first :])
        """The names of the blocks that learn."""
        self.ending = anatomy.ending
        """The names of the final norm, projection and the like, which learn too."""
        embedding = anatomy.embedding if self.whole else ()
        parts = [(*self.ending, self.blocks[-1]), *((name,) for name in self.blocks[-2::-1]), embedding]
        visual.eval()
        layers: list[list[str]] = [[] for _ in parts]
        self.parameters: dict[str, nn.Parameter] = {}
        """What learns, by name."""
        for name, parameter in visual.named_parameters():
            place = next((n for n, part in enumerate(parts) if _within(name, part)), None)
            parameter.requires_grad_(parameter.requires_grad and place is not None)
            if place is not None and parameter.requires_grad:
                layers[place].append(name)
                self.parameters[name] = parameter
        self.layers = [layer for layer in layers if layer]
        """The names of the parameters, grouped by depth, the end of the tower first."""
        self.device = next(visual.parameters()).device

    @torch.no_grad()
    def below(self, pictures: Tensor) -> Tensor:
        """Normalised pictures [n, 3, h, w] as what the first part that learns takes; the pictures where all of it does."""
        if self.whole:
            return pictures
        tokens = self._anatomy.embed(pictures)
        for block in self._modules[: self._first]:
            tokens = block(tokens)
        return tokens

    def above(self, inputs: Tensor) -> Tensor:
        """What `below` gives to unit vectors [n, d]."""
        tokens = self._anatomy.embed(inputs) if self.whole else inputs
        for block in self._modules[self._first :]:
            tokens = block(tokens)
        return nn.functional.normalize(self._anatomy.end(tokens).float(), dim=-1)


def _within(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def _anatomy(visual: Any) -> _Anatomy:
    found = _of_open_clip(visual) or _of_timm(visual)
    if found is None or not found.blocks:
        raise LabError(
            f"an image tower of the kind {type(visual).__name__} has no transformer blocks that the lab knows; "
            "fine-tune a ViT of open_clip, such as ViT-L-14"
        )
    parts = (*found.embedding, *(name for name, _ in found.blocks), *found.ending)
    strange = [name for name, _ in visual.named_parameters() if not _within(name, parts)]
    if strange:
        raise LabError(f"the image tower has {strange[0]}, of which fine-tuning does not know what it does")
    return found


def _of_open_clip(visual: Any) -> _Anatomy | None:
    """open_clip's own ViT, as of OpenAI's and LAION's models."""
    from open_clip.transformer import VisionTransformer

    if not isinstance(visual, VisionTransformer) or not visual.transformer.batch_first:
        return None

    def end(tokens: Tensor) -> Tensor:
        pooled, _ = visual._pool(tokens)
        vectors: Tensor = pooled @ visual.proj
        return vectors

    return _Anatomy(
        embedding=("conv1", "class_embedding", "positional_embedding", "ln_pre"),
        blocks=[(f"transformer.resblocks.{n}", block) for n, block in enumerate(visual.transformer.resblocks)],
        ending=("attn_pool", "attn_pool_contrastive", "ln_post", "proj"),
        embed=visual._embeds,
        end=end,
    )


def _of_timm(visual: Any) -> _Anatomy | None:
    """timm's ViT in open_clip's adapter, as of SigLIP."""
    from open_clip.timm_model import TimmModel
    from timm.models.vision_transformer import VisionTransformer

    trunk = getattr(visual, "trunk", None)
    if not isinstance(visual, TimmModel) or not isinstance(trunk, VisionTransformer):
        return None

    def embed(pictures: Tensor) -> Tensor:
        tokens: Tensor = trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(pictures))))
        return tokens

    def end(tokens: Tensor) -> Tensor:
        vectors: Tensor = visual.head(trunk.forward_head(trunk.norm(tokens)))
        return vectors

    before = ("patch_embed", "cls_token", "reg_token", "pos_embed", "norm_pre")
    after = ("norm", "attn_pool", "fc_norm", "head")
    return _Anatomy(
        embedding=tuple(f"trunk.{name}" for name in before),
        blocks=[(f"trunk.blocks.{n}", block) for n, block in enumerate(trunk.blocks)],
        ending=(*(f"trunk.{name}" for name in after), "head"),
        embed=embed,
        end=end,
    )
