"""The ranking model as MLflow loads it: this file and the release's safetensors, no pickle.

`mlflow.pyfunc.load_model("models:/thumbnail-ranker@champion").predict(inputs)`, with inputs float32 [n, d] as
`thumblab_core.ranking.ranker.join` makes them, gives the scores, float32 [n], without the history of any channel.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt

from thumblab_core.ranking.trained_ranker import TrainedRanker


class MlflowRanker(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """See the module."""

    def load_context(self, context: Any) -> None:
        self._ranker = TrainedRanker.load_files(Path(context.artifacts["release"]))

    # The bare np.ndarray is an annotation that MLflow knows; of others it warns.
    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> npt.NDArray[np.float32]:
        return self._ranker.predict_inputs(np.asarray(model_input, np.float32)).score


mlflow.models.set_model(MlflowRanker())
