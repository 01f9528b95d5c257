"""Settle how exactly an encoder computes: the fastest precision that agrees with float32, decided once and published.

The decision is a release (kind `encoder`, scope: model, weights and preprocessing) with the graph in OpenVINO's format, so
every process that reads the release store computes the very same vectors, and the weights need not be there any more.
"""

import contextlib
import fcntl
import io
import os
from collections.abc import Callable, Iterator, Sequence
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

Asked = Literal["auto", "float32", "bfloat16", "int8"]
"""What the setting says: `auto` is the first of int8, bfloat16 and float32 that agrees."""

CALIBRATION, HELD_OUT = 32, 64
"""Pictures that ranges are measured on, and the twice as many others that the result is judged on."""

Listener = Callable[[str, int, int], None]
Quantise = Callable[[Any, Sequence[Prepared], Preprocessing], Any]

_LADDER: dict[str, tuple[str, ...]] = {
    "auto": ("int8", "bfloat16", "float32"),
    "float32": ("float32",),
    "bfloat16": ("bfloat16",),
    "int8": ("int8",),
}
_BATCH = 8


class Convertible(Protocol):
    """An encoder whose image tower can be had as a float32 graph."""

    base: str
    """Model, weights and preprocessing: the fingerprint without the precision."""

    @property
    def preprocessing(self) -> Preprocessing: ...

    def graph(self) -> Any:
        """The tower as an openvino.Model: normalised float32 [n, 3, h, w] in, vectors [n, d] out."""
        ...


@dataclass(frozen=True)
class Settled:
    """What was decided for one encoder. `refused` says of each faster precision why it was not taken."""

    release: Release
    precision: str
    refused: tuple[str, ...]


def settled(store: ReleaseStore, base: str, asked: Asked) -> Release | None:
    """What was decided for that setting; None while nothing was. Reads manifests only."""
    found = [release for release in store.all(ENCODER, base) if release.info["asked"] == asked]
    return found[-1] if found else None


def settle(
    encoder: Convertible,
    store: ReleaseStore,
    asked: Asked,
    pictures: Sequence[Prepared],
    listener: Listener = lambda *_: None,
    quantise: Quantise | None = None,
) -> Settled:
    """Try the precisions that `asked` allows, fastest first, and publish the first that agrees with float32.

    `pictures`: `CALIBRATION + HELD_OUT` real ones, prepared. Minutes of work for a large model, once; a second process
    that asks meanwhile waits and takes what was decided. Raises `LabError` when none of them agrees.
    """
    if len(pictures) < CALIBRATION + HELD_OUT:
        raise LabError(f"{len(pictures)} pictures to judge a precision by; {CALIBRATION + HELD_OUT} are needed")
    with _one_at_a_time(store.root / ENCODER / encoder.base):
        release = settled(store, encoder.base, asked)
        if release is None:
            release = _decide(encoder, store, asked, pictures, listener, quantise or quantise_int8)
    return Settled(release, str(release.info["precision"]), tuple(release.info["refused"]))


def _decide(
    encoder: Convertible,
    store: ReleaseStore,
    asked: Asked,
    pictures: Sequence[Prepared],
    listener: Listener,
    quantise: Quantise,
) -> Release:
    # One to calibrate, two to judge: whatever their order, both get a share of everything.
    calibration = pictures[::3][:CALIBRATION]
    held_out = [picture for place, picture in enumerate(pictures) if place % 3][:HELD_OUT]
    graph, preprocessing = encoder.graph(), encoder.preprocessing
    steps = len(_LADDER[asked]) + 1
    listener(f"{encoder.base}: float32 vectors to compare with", 0, steps)
    reference = _encode(CompiledTower(graph, preprocessing), held_out, preprocessing)
    real = usable(reference)
    if real.sum() < len(real) / 2:
        raise LabError(
            f"{encoder.base} has no vector for {len(real) - real.sum()} of {len(real)} pictures; its model is damaged: set "
            "THUMBLAB_IMAGE_ENCODER to another one"
        )
    refused: list[str] = []
    for place, precision in enumerate(_LADDER[asked], start=1):
        listener(f"{encoder.base}: trying {precision}", place, steps)
        candidate = quantise(graph, calibration, preprocessing) if precision == "int8" else graph
        execution: Execution = "bfloat16" if precision == "bfloat16" else "float32"
        if execution == "bfloat16" and not bfloat16_here():
            refused.append("bfloat16: this processor does not compute in it")
            continue
        vectors = reference
        if precision != "float32":
            vectors = _encode(CompiledTower(candidate, preprocessing, execution), held_out, preprocessing)
        found = agreement(reference[real], vectors[real])
        if precision == "float32" or found.good:
            listener(f"{encoder.base}: {precision} it is", steps, steps)
            return _publish(encoder, store, asked, candidate, precision, found, reference.shape[1], refused)
        refused.append(f"{precision}: {found}")
    raise LabError(
        f"{encoder.base} cannot be computed in {asked} ({'; '.join(refused)}); "
        "set THUMBLAB_ENCODER_PRECISION to auto or float32"
    )


def quantise_int8(graph: Any, pictures: Sequence[Prepared], preprocessing: Preprocessing) -> Any:
    """Post-training quantisation by NNCF: int8 weights and activations, ranges measured on `pictures`."""
    import thumblab_core.encoders.openvino_runtime  # noqa: F401, I001  before NNCF

    import nncf

    with contextlib.redirect_stdout(io.StringIO()):  # NNCF draws progress bars and has no switch for them
        nncf.set_log_level(40)
        inputs = [normalised(picture[None], preprocessing) for picture in pictures]
        return nncf.quantize(
            graph,
            nncf.Dataset(inputs),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
        )


def bfloat16_here() -> bool:
    """Whether this processor computes in bfloat16: elsewhere OpenVINO would compute in float32 without a word."""
    from thumblab_core.encoders.openvino_runtime import ov

    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _encode(tower: CompiledTower, pictures: Sequence[Prepared], preprocessing: Preprocessing) -> Vectors:
    batches = (pictures[start : start + _BATCH] for start in range(0, len(pictures), _BATCH))
    return np.concatenate([tower(stack(batch, preprocessing)) for batch in batches])


def _publish(
    encoder: Convertible,
    store: ReleaseStore,
    asked: Asked,
    graph: Any,
    precision: str,
    found: Agreement,
    dimension: int,
    refused: list[str],
) -> Release:
    from thumblab_core.encoders.openvino_runtime import ov

    info = {
        "asked": asked,
        "precision": precision,
        "preprocessing": encoder.preprocessing.as_json(),
        "dimension": dimension,
        "agreement": asdict(found),
        "refused": refused,
        "openvino": ov.__version__,
    }

    def write(folder: Path) -> None:
        # Uncompressed: halves of the weights would be another precision than the one that was judged.
        ov.save_model(graph, folder / "model.xml", compress_to_fp16=False)

    return store.publish(ENCODER, encoder.base, write, info)


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".settling", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LabError(f"{folder} cannot be written ({error.strerror or error}); set THUMBLAB_RELEASE_DIR") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
