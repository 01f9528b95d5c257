"""Choose the precision in which an encoder computes: the fastest precision whose vectors agree with the float32
vectors.

The precision is chosen once, and published as a release of kind `encoder`. The scope of the release names the model,
the weights and the preprocessing. The release contains the model as a graph in OpenVINO's format. So every process that
reads the release store computes exactly the same vectors, and pictures can be encoded without the original weights.
"""

import contextlib
import io
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from thumblab_core.encoders.agreement import Agreement, agreement
from thumblab_core.encoders.preprocessing import Prepared, Preprocessing, stack
from thumblab_core.encoders.protocol import Vectors, usable
from thumblab_core.encoders.tower import CompiledTower, Execution, normalised
from thumblab_core.errors import LabError
from thumblab_core.releases.release import ENCODER, Release
from thumblab_core.releases.release_store import ReleaseStore

PrecisionSetting = Literal["auto", "float32", "bfloat16", "int8"]
"""The values of the setting `encoder_precision`.

`auto` tries int8, bfloat16 and float32 in this order. It chooses the first precision whose vectors agree with the
float32 vectors (`agreement.py`).
"""

CALIBRATION, HELD_OUT = 32, 64
"""How many pictures calibrate int8, and how many other pictures are used to evaluate every precision.

For int8, the calibration measures the range of the values of each operation.
"""

Progress = Callable[[str, int, int], None]
"""A function that is called with a message, the number of finished steps and the number of all steps."""
Quantise = Callable[[Any, Sequence[Prepared], Preprocessing], Any]
"""A function that turns a float32 graph into an int8 graph. It measures the ranges of values on the given pictures."""

_LADDER: dict[str, tuple[str, ...]] = {
    "auto": ("int8", "bfloat16", "float32"),
    "float32": ("float32",),
    "bfloat16": ("bfloat16",),
    "int8": ("int8",),
}
"""The precisions that each value of the setting allows, fastest first."""
_BATCH = 8


class Convertible(Protocol):
    """An encoder whose image tower, the model for pictures, is available as a float32 graph."""

    base: str
    """A name for the model, weights and preprocessing. It is the fingerprint without the precision."""

    @property
    def preprocessing(self) -> Preprocessing: ...

    def graph(self) -> Any:
        """Return the image tower as an openvino.Model.

        The model takes normalised pictures, float32 [n, 3, h, w], and gives vectors [n, d].
        """
        ...


@dataclass(frozen=True)
class PrecisionChoice:
    """The precision that was chosen for one encoder and published.

    `refused` gives the reason for each faster precision that was not chosen.
    """

    release: Release
    precision: str
    refused: tuple[str, ...]


@dataclass(frozen=True)
class _Choice:
    """A precision that was chosen and is not published yet.

    `graph` is the graph to publish. Its vectors have `dimension` numbers. `agreement` says how well these vectors agree
    with the vectors in float32.
    """

    precision: str
    graph: Any
    dimension: int
    agreement: Agreement
    refused: list[str]


def published_choice(store: ReleaseStore, base: str, setting: PrecisionSetting) -> Release | None:
    """Return the newest release that `choose_precision` published for an encoder, or None if there is none.

    `base` is the encoder's fingerprint without the precision. `setting` is the value of `encoder_precision` for which
    the precision was chosen. Only the manifests of releases are read.
    """
    releases = [release for release in store.all(ENCODER, base) if release.info["asked"] == setting]
    return releases[-1] if releases else None


def choose_precision(
    encoder: Convertible,
    store: ReleaseStore,
    setting: PrecisionSetting,
    pictures: Sequence[Prepared],
    listener: Progress = lambda *_: None,
    quantise: Quantise | None = None,
) -> PrecisionChoice:
    """Try the precisions that `setting` allows, the fastest first. Publish the first precision that agrees with
    float32.

    `pictures` are real pictures, prepared for the encoder. There must be at least `CALIBRATION + HELD_OUT` of them. For
    a large model, the choice takes minutes, but it is made only once. If another process is choosing the precision,
    this function waits, and returns the same choice.

    Raises `LabError` if there are too few pictures, if the encoder gives no vectors for most pictures, or if no allowed
    precision agrees with float32.
    """
    if len(pictures) < CALIBRATION + HELD_OUT:
        raise LabError(
            f"{len(pictures)} pictures are too few to choose a precision; {CALIBRATION + HELD_OUT} are needed"
        )
    with store.serving.changing(ENCODER, encoder.base, patience=math.inf):
        release = published_choice(store, encoder.base, setting)
        if release is None:
            choice = _choose(encoder, setting, pictures, listener, quantise or quantise_int8)
            release = _publish(encoder, store, setting, choice)
    return PrecisionChoice(release, str(release.info["precision"]), tuple(release.info["refused"]))


def _choose(
    encoder: Convertible,
    setting: PrecisionSetting,
    pictures: Sequence[Prepared],
    listener: Progress,
    quantise: Quantise,
) -> _Choice:
    # Every third picture is for the calibration, and the other pictures are for the evaluation. So both groups have
    # pictures from the whole list, even if the list is sorted.
    calibration = pictures[::3][:CALIBRATION]
    held_out = [picture for place, picture in enumerate(pictures) if place % 3][:HELD_OUT]
    graph, preprocessing = encoder.graph(), encoder.preprocessing
    steps = len(_LADDER[setting]) + 1
    listener(f"{encoder.base}: computing the float32 vectors for the comparison", 0, steps)
    reference = _encode(CompiledTower(graph, preprocessing), held_out, preprocessing)
    has_vector = usable(reference)
    if has_vector.sum() < len(has_vector) / 2:
        raise LabError(
            f"{encoder.base} gives no vector for {len(has_vector) - has_vector.sum()} of {len(has_vector)} pictures, "
            "so its model is damaged; set THUMBLAB_IMAGE_ENCODER to another encoder"
        )
    refused: list[str] = []
    for place, precision in enumerate(_LADDER[setting], start=1):
        listener(f"{encoder.base}: trying {precision}", place, steps)
        candidate = quantise(graph, calibration, preprocessing) if precision == "int8" else graph
        execution: Execution = "bfloat16" if precision == "bfloat16" else "float32"
        if execution == "bfloat16" and not bfloat16_here():
            refused.append("bfloat16: this processor does not support it")
            continue
        vectors = reference
        if precision != "float32":
            vectors = _encode(CompiledTower(candidate, preprocessing, execution), held_out, preprocessing)
        result = agreement(reference[has_vector], vectors[has_vector])
        if precision == "float32" or result.good:
            listener(f"{encoder.base}: chose {precision}", steps, steps)
            return _Choice(precision, candidate, reference.shape[1], result, refused)
        refused.append(f"{precision}: {result}")
    raise LabError(
        f"{encoder.base} cannot be computed in {setting} ({'; '.join(refused)}); "
        "set THUMBLAB_ENCODER_PRECISION to auto or float32"
    )


def quantise_int8(graph: Any, pictures: Sequence[Prepared], preprocessing: Preprocessing) -> Any:
    """Quantise a float32 graph with NNCF to int8 weights and activations.

    The ranges of the activations are measured on `pictures`.
    """
    import thumblab_core.encoders.openvino_runtime  # noqa: F401, I001  must be imported before NNCF

    import nncf

    # The output is discarded, because NNCF prints progress bars and has no option to turn them off.
    with contextlib.redirect_stdout(io.StringIO()):
        # Do not use `nncf.set_log_level`, because it also changes the level of handlers that do not belong to NNCF.
        logging.getLogger("nncf").setLevel(logging.ERROR)
        inputs = [normalised(picture[None], preprocessing) for picture in pictures]
        return nncf.quantize(
            graph,
            nncf.Dataset(inputs),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
        )


def bfloat16_here() -> bool:
    """Return whether this processor computes in bfloat16. If not, OpenVINO silently computes in float32 instead."""
    from thumblab_core.encoders.openvino_runtime import ov

    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _encode(tower: CompiledTower, pictures: Sequence[Prepared], preprocessing: Preprocessing) -> Vectors:
    batches = (pictures[start : start + _BATCH] for start in range(0, len(pictures), _BATCH))
    return np.concatenate([tower(stack(batch, preprocessing)) for batch in batches])


def _publish(encoder: Convertible, store: ReleaseStore, setting: PrecisionSetting, choice: _Choice) -> Release:
    from thumblab_core.encoders.openvino_runtime import ov

    info = {
        "asked": setting,
        "precision": choice.precision,
        "preprocessing": encoder.preprocessing.as_json(),
        "dimension": choice.dimension,
        "agreement": asdict(choice.agreement),
        "refused": choice.refused,
        "openvino": ov.__version__,
    }

    def write(folder: Path) -> None:
        # By default, OpenVINO saves the weights in half precision. The published graph would then differ from the graph
        # that was evaluated.
        ov.save_model(choice.graph, folder / "model.xml", compress_to_fp16=False)

    return store.publish(ENCODER, encoder.base, write, info)
