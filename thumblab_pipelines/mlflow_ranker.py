"""The ranking model as MLflow loads it: this file and the release's safetensors, no pickle.

`mlflow.pyfunc.load_model("models:/thumbnail-ranker@champion").predict(inputs)`, with inputs float32 [n, d_i + d_t] (a
thumbnail's image vector followed by its title vector), gives the pairwise scores, float32 [n].
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt

from thumblab_core.ranker import TrainedRanker


class MlflowRanker(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """See the module."""

    def load_context(self, context: Any) -> None:
        self._ranker = TrainedRanker.load_files(Path(context.artifacts["release"]))

    # The bare np.ndarray is an annotation that MLflow knows; of others it warns.
    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> npt.NDArray[np.float32]:
        inputs = np.asarray(model_input, np.float32)
        images = self._ranker.model.config.image_dimension
        return self._ranker.model.predict(inputs[:, :images], inputs[:, images:]).score


mlflow.models.set_model(MlflowRanker())
