"""Draw the calibration and the AUC of a trained model, as MLflow shows them."""

from __future__ import annotations

from thumblab_core.releases.release import Release
from thumblab_pipelines.evaluation.figures import Evaluation
from thumblab_pipelines.models.plots import plots
from thumblab_pipelines.models.tracked_run import calibration, figures
from thumblab_pipelines.previews.markdown import plot, within_limit

_SHOWN = ("calibration", "auc_by_niche", "auc_by_margin")


def model_plots(release: Release, evaluations: list[Evaluation]) -> str | None:
    """Return the calibration curve, and the AUC by niche and by margin, as Markdown images. Return None if the model
    has none of these plots."""
    drawn = dict(plots([], figures(evaluations), calibration(release)))
    images = [plot(name.replace("_", " "), drawn[name]) for name in _SHOWN if name in drawn]
    return within_limit(images) or None
