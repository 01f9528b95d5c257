"""Divide a CLIP image tower into a frozen lower part and a trained upper part.

The image tower is the part of a CLIP model that encodes pictures. The image tower is a vision transformer (ViT), a
sequence of blocks. The upper part begins at one of the blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from thumblab_core.errors import LabError

Blocks = list[tuple[str, nn.Module]]
"""The transformer blocks of a tower, in the order of computation. Each has its name in `named_modules` of the tower."""

ALL: Literal["all"] = "all"


@dataclass(frozen=True)
class _Anatomy:
    """The parts of a tower.

    `embedding`: names of the modules and parameters before the blocks. `ending`: names of the modules and parameters
    after the blocks. `embed`: the function that computes the part before the blocks. `end`: the function that computes
    the part after the blocks.
    """

    embedding: tuple[str, ...]
    blocks: Blocks
    ending: tuple[str, ...]
    embed: Callable[[Tensor], Tensor]
    """A function that maps pictures, float32 [n, 3, height, width], to tokens [n, t, w]."""
    end: Callable[[Tensor], Tensor]
    """A function that maps tokens [n, t, w] to vectors [n, d] that are not normalised."""


class TrainableTower:
    """An image tower whose last `blocks` transformer blocks, and all parts after these blocks, are trained.

    All other parameters are frozen. The patch embedding is the part before the blocks. It is trained only if `blocks`
    is "all". If `blocks` is a number, the patch embedding is frozen, even if all blocks are trained. The tower stays in
    evaluation mode, without dropout.

    Raises `LabError` when the tower is not a ViT of open_clip or timm, or has fewer than `blocks` blocks.
    """

    def __init__(self, visual: Any, blocks: int | Literal["all"]) -> None:
        anatomy = _anatomy(visual)
        count = len(anatomy.blocks) if blocks == ALL else blocks
        if not 1 <= count <= len(anatomy.blocks):
            raise LabError(
                f"the image tower has {len(anatomy.blocks)} blocks, so {blocks} cannot be fine-tuned; use fewer blocks"
            )
        self._anatomy = anatomy
        self._first = len(anatomy.blocks) - count
        self.whole = blocks == ALL
        self._modules = [module for _, module in anatomy.blocks]
        self.blocks = tuple(name for name, _ in anatomy.blocks[self._first :])
        """The names of the trained blocks."""
        self.ending = anatomy.ending
        """The names of the parts after the blocks, such as the final norm and the projection. The parts after the
        blocks are trained too."""
        embedding = anatomy.embedding if self.whole else ()
        parts = [(*self.ending, self.blocks[-1]), *((name,) for name in self.blocks[-2::-1]), embedding]
        visual.eval()
        layers: list[list[str]] = [[] for _ in parts]
        self.parameters: dict[str, nn.Parameter] = {}
        """The trained parameters, by name."""
        for name, parameter in visual.named_parameters():
            depth = next((number for number, part in enumerate(parts) if _within(name, part)), None)
            parameter.requires_grad_(parameter.requires_grad and depth is not None)
            if depth is not None and parameter.requires_grad:
                layers[depth].append(name)
                self.parameters[name] = parameter
        self.layers = [layer for layer in layers if layer]
        """The names of the trained parameters in groups by depth, starting at the end of the tower."""
        self.device = next(visual.parameters()).device

    @torch.no_grad()
    def below(self, pictures: Tensor) -> Tensor:
        """Return the inputs of the trained part for normalised pictures [n, 3, height, width].

        The returned inputs are tokens [n, t, w]. If the whole tower is trained, the inputs are the pictures themselves.
        """
        if self.whole:
            return pictures
        tokens = self._anatomy.embed(pictures)
        for block in self._modules[: self._first]:
            tokens = block(tokens)
        return tokens

    def above(self, inputs: Tensor) -> Tensor:
        """Return unit vectors [n, d] for inputs that `below` returned."""
        tokens = self._anatomy.embed(inputs) if self.whole else inputs
        for block in self._modules[self._first :]:
            tokens = block(tokens)
        return nn.functional.normalize(self._anatomy.end(tokens).float(), dim=-1)


def _within(name: str, parts: tuple[str, ...]) -> bool:
    """Return whether the parameter `name` is one of `parts`, or belongs to a module in `parts`."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def _anatomy(visual: Any) -> _Anatomy:
    """Return the parts of a tower. Raises `LabError` if the kind of the tower, or one of its parameters, is unknown."""
    anatomy = _of_open_clip(visual) or _of_timm(visual)
    if anatomy is None or not anatomy.blocks:
        raise LabError(
            f"an image tower of type {type(visual).__name__} has no transformer blocks that can be fine-tuned; "
            "use a ViT of open_clip, such as ViT-L-14"
        )
    parts = (*anatomy.embedding, *(name for name, _ in anatomy.blocks), *anatomy.ending)
    unknown = [name for name, _ in visual.named_parameters() if not _within(name, parts)]
    if unknown:
        raise LabError(f"the image tower has the unknown parameter {unknown[0]}; use another ViT of open_clip")
    return anatomy


def _of_open_clip(visual: Any) -> _Anatomy | None:
    """Return the parts of open_clip's own ViT, or None for another tower. OpenAI's and LAION's models use open_clip's
    own ViT."""
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
    """Return the parts of timm's ViT inside open_clip's adapter, or None for another tower. SigLIP uses timm's ViT."""
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
