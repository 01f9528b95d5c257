"""The ranking model as MLflow loads it: this file and the release's safetensors, no pickle.

`mlflow.pyfunc.load_model("models:/thumbnail-ranker@champion").predict(inputs)`, with inputs float32 [n, d_i + d_t] (a
thumbnail's image vector followed by its title vector), gives the pairwise scores, float32 [n].
"""

from pathlib import Path

import mlflow
import numpy as np

from thumblab_core.ranker import TrainedRanker


class MlflowRanker(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """See the module."""

    # Unannotated: MLflow takes annotations of predict for a schema of its own and warns that they are none.
    def load_context(self, context):  # type: ignore[no-untyped-def]
        self._ranker = TrainedRanker.load_files(Path(context.artifacts["release"]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        inputs = np.asarray(model_input, np.float32)
        images = self._ranker.model.config.image_dimension
        return self._ranker.model.predict(inputs[:, :images], inputs[:, images:]).score


mlflow.models.set_model(MlflowRanker())
