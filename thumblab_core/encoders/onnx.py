"""Any image encoder in an ONNX file, with a small JSON file beside it that says how to prepare pictures for it.

    model.onnx    one input, pictures: [n, 3, h, w] or [n, h, w, 3], float32 or uint8; n free or fixed
                  one output: d numbers per picture, in any shape
    model.json    {"resize": "shortest", "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
                   "near_duplicate": 0.97}

`mean` and `std` are of channels from 0 to 1, and null for a model that takes bytes. `height` and `width` are needed where
the model leaves them free. `near_duplicate` is the cosine from which on two pictures count as the same.
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from thumblab_core.encoders.learnt import LearntEncoder
from thumblab_core.encoders.preprocessing import Preprocessing
from thumblab_core.encoders.tower import channels_last, read_graph, takes_bytes
from thumblab_core.encoders.weights import weights_digest
from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release

_EXAMPLE = (
    '{"resize": "shortest", "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], '
    '"near_duplicate": 0.97}'
)


class OnnxEncoder(LearntEncoder):
    """`path` is the .onnx file; its preprocessing lies beside it under the same name with .json."""

    def __init__(self, path: Path, compiled: Release | None = None) -> None:
        self._path = path
        self._said = _read_json(path.with_suffix(".json"))
        self.near_duplicate = self._said.pop("near_duplicate")
        try:
            weights = weights_digest(path)
        except OSError as error:
            raise LabError(f"the image encoder {path} cannot be read ({error.strerror})") from None
        said = hashlib.sha256(json.dumps(self._said, sort_keys=True).encode()).hexdigest()[:8]
        super().__init__(f"onnx-{weights}-{said}", compiled)

    @property
    def quantisable(self) -> bool:
        return not takes_bytes(self._graph)  # such a model was quantised by its maker

    def graph(self) -> Any:
        return self._graph

    @cached_property
    def _graph(self) -> Any:
        graph = read_graph(self._path)
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise LabError(
                f"{self._path} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
                "an image encoder has one of each"
            )
        kind = graph.input(0).get_element_type().get_type_name()
        if kind not in ("u8", "f32"):
            raise LabError(f"{self._path} takes {kind}; an image encoder takes uint8 or float32")
        return graph

    def _read_preprocessing(self) -> Preprocessing:
        shape = self._graph.input(0).get_partial_shape()
        first = 1 if channels_last(self._graph) else 2
        said = dict(self._said)
        for name, axis in (("height", first), ("width", first + 1)):
            length = shape[axis].get_length() if shape[axis].is_static else None
            if length is not None and said.setdefault(name, length) != length:
                raise LabError(
                    f"{self._path.with_suffix('.json')}: {name} is {said[name]}, but the model takes {length}"
                )
        if takes_bytes(self._graph) and said.get("mean") is not None:
            raise LabError(f"{self._path.with_suffix('.json')}: the model takes bytes, so mean and std are null")
        try:
            return Preprocessing.from_json(said)
        except LabError as error:
            raise LabError(f"{self._path.with_suffix('.json')}: {error}") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text())
    except FileNotFoundError:
        raise LabError(f"{path} is missing; it says how pictures are prepared, such as {_EXAMPLE}") from None
    except (OSError, ValueError) as error:
        raise LabError(f"{path} cannot be read ({error}); it looks like {_EXAMPLE}") from None
    threshold = said.get("near_duplicate") if isinstance(said, dict) else None
    if not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise LabError(f"{path}: near_duplicate is a cosine above 0 and up to 1; the file looks like {_EXAMPLE}")
    found: dict[str, Any] = said
    return found
