"""An image encoder from an ONNX file, with a JSON file beside it that describes how to prepare pictures for it.

    model.onnx    one input, pictures: [n, 3, h, w] or [n, h, w, 3], float32 or uint8; n is any or a fixed number
                  one output: d numbers per picture, in any shape
    model.json    {"resize": "shortest", "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
                   "near_duplicate": 0.97}

`mean` and `std` refer to channels from 0 to 1, and are null for a model that takes uint8. `height` and `width` are
required if the model accepts any size. Two pictures count as the same picture if the cosine of their vectors is at
least `near_duplicate`.
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from thumblab_core.encoders.neural import NeuralEncoder
from thumblab_core.encoders.preprocessing import Preprocessing
from thumblab_core.encoders.tower import channels_last, read_graph, takes_bytes
from thumblab_core.encoders.weights import weights_digest
from thumblab_core.errors import LabError
from thumblab_core.releases.release import Release

_EXAMPLE = (
    '{"resize": "shortest", "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], '
    '"near_duplicate": 0.97}'
)


class OnnxEncoder(NeuralEncoder):
    """A neural image encoder from the ONNX file `path`.

    Its preprocessing is read from the .json file of the same name.
    """

    def __init__(self, path: Path, compiled: Release | None = None) -> None:
        self._path = path
        self._json_path = path.with_suffix(".json")
        try:
            # The weights are read first, so that the error for a wrong path names this path and not the missing .json
            # file.
            weights = weights_digest(path)
        except OSError as error:
            raise LabError(
                f"the image encoder {path} cannot be read ({error.strerror}); restore the file or correct "
                "THUMBLAB_IMAGE_ENCODER"
            ) from None
        self._options = _read_json(self._json_path)
        self.near_duplicate = self._options.pop("near_duplicate")
        options = hashlib.sha256(json.dumps(self._options, sort_keys=True).encode()).hexdigest()[:8]
        super().__init__(f"onnx-{weights}-{options}", compiled)

    @property
    def quantisable(self) -> bool:
        return not takes_bytes(self._graph)  # A model that takes uint8 has been quantised already, by its maker.

    def graph(self) -> Any:
        return self._graph

    @cached_property
    def _graph(self) -> Any:
        graph = read_graph(self._path)
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise LabError(
                f"{self._path} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
                "an image encoder has 1 input and 1 output"
            )
        kind = graph.input(0).get_element_type().get_type_name()
        if kind not in ("u8", "f32"):
            raise LabError(f"{self._path} takes {kind}; an image encoder takes uint8 or float32")
        return graph

    def _read_preprocessing(self) -> Preprocessing:
        shape = self._graph.input(0).get_partial_shape()
        first = 1 if channels_last(self._graph) else 2
        options = dict(self._options)
        for name, axis in (("height", first), ("width", first + 1)):
            length = shape[axis].get_length() if shape[axis].is_static else None
            if length is not None and options.setdefault(name, length) != length:
                raise LabError(
                    f"{self._json_path}: {name} is {options[name]}, but the model needs {length}; correct the file"
                )
        if takes_bytes(self._graph) and options.get("mean") is not None:
            raise LabError(f"{self._json_path}: the model takes uint8, so mean and std must be null")
        try:
            return Preprocessing.from_json(options)
        except LabError as error:
            raise LabError(f"{self._json_path}: {error}") from None


def _read_json(path: Path) -> dict[str, Any]:
    """Return the options in the JSON file. Raises `LabError` if the file does not contain an object, or if
    `near_duplicate` is missing or not valid.
    """
    try:
        options: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise LabError(
            f"{path} is missing; create it to describe how pictures are prepared, for example {_EXAMPLE}"
        ) from None
    except (OSError, ValueError) as error:
        raise LabError(f"{path} cannot be read ({error}); it should look like {_EXAMPLE}") from None
    threshold = options.get("near_duplicate") if isinstance(options, dict) else None
    if not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise LabError(
            f"{path}: near_duplicate must be a cosine above 0 and up to 1; the file should look like {_EXAMPLE}"
        )
    return options
