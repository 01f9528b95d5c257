"""Make the ranking model of a release loadable by MLflow.

MLflow loads the model from this file and from the release's safetensors files, without any pickle.

`mlflow.pyfunc.load_model("models:/thumbnail-ranker@champion").predict(inputs)` returns the scores of n thumbnails, as
float32 [n]. `inputs` is float32 [n, d], with one row of d numbers for each thumbnail.
`thumblab_core.ranking.inputs.model_inputs` makes the inputs. No channel adapter is applied.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt

from thumblab_core.ranking.trained_ranker import TrainedRanker


class MlflowRanker(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A release's ranking model with MLflow's method `predict`. The module's docstring describes inputs and scores."""

    def load_context(self, context: Any) -> None:
        self._ranker = TrainedRanker.load_files(Path(context.artifacts["release"]))

    # The parameter has the plain type np.ndarray, because MLflow logs a warning for every other type hint.
    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> npt.NDArray[np.float32]:
        return self._ranker.predict_inputs(np.asarray(model_input, np.float32)).score


mlflow.models.set_model(MlflowRanker())
