"""Run and measure the stages from view counts to a published model, in the synthetic lab of
`benchmarks.scale.planted_lab`.

The stages `evaluation` and `publication` need the result of `training`, which is stored in the folder with `pickle`.
Only this benchmark writes and reads this file.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.scale.stage import Stage

if TYPE_CHECKING:
    from thumblab_pipelines.lab import Lab

_OBSERVED_AGAIN = 100
"""One of every 100 videos gets another observation before the stage `histories-again`."""


def plant(size: int, folder: Path) -> None:
    """Make the synthetic lab if it is missing."""
    from benchmarks.scale import planted_lab

    planted_lab.plant(size, folder)


def histories(size: int, folder: Path) -> dict[str, float]:
    """Estimate the views of all videos at fixed ages."""
    from benchmarks.scale.planted_lab import planted

    with planted(size, folder) as lab:
        return _histories(lab)


def plant_new_counts(size: int, folder: Path) -> None:
    """Estimate the views at fixed ages if no earlier stage has estimated them. Then add a new view count to one in 100
    videos.
    """
    from benchmarks.scale.planted_lab import observe_again, planted

    plant(size, folder)
    with planted(size, folder) as lab:
        _histories(lab)
        observe_again(lab, _OBSERVED_AGAIN)


def baselines(size: int, folder: Path) -> dict[str, float]:
    """Compute the baselines of all channels."""
    from benchmarks.scale.planted_lab import planted
    from thumblab_pipelines.features.baselines import compute_baselines

    with planted(size, folder) as lab:
        return {"channels": float(sum(compute_baselines(lab, niche).channels for niche in lab.niches))}


def pairs(size: int, folder: Path) -> dict[str, float]:
    """Build and check a pairs release."""
    from benchmarks.scale.planted_lab import planted
    from thumblab_pipelines.dataset.pairs import build_pairs, check_built_pairs

    with planted(size, folder) as lab:
        built = build_pairs(lab)
        failed = [check.explanation for check in check_built_pairs(lab, built) if not check.passed]
        if failed:
            raise ValueError(f"the planted pairs failed a check: {failed[0]}")
        return {"pairs": float(sum(built.release.info["pairs"].values()))}


def build_missing_pairs(size: int, folder: Path) -> None:
    """Build a pairs release if the lab in `folder` has none."""
    plant(size, folder)
    if not (folder / "lab" / "releases" / "pairs").exists():
        pairs(size, folder)


def training(size: int, folder: Path) -> dict[str, float]:
    """Read the newest pairs and train a model on them. Write the trained model to `trained.pickle`."""
    import pickle

    from benchmarks.scale.planted_lab import planted
    from thumblab_pipelines.training.config import TrainConfig
    from thumblab_pipelines.training.train import train

    with planted(size, folder) as lab:
        trained = train(_newest(lab), TrainConfig())
    temporary = folder / "trained.new"
    with temporary.open("wb") as file:
        pickle.dump(trained, file, protocol=5)
    temporary.rename(folder / "trained.pickle")
    return {"epochs": float(len(trained.history))}


def train_missing(size: int, folder: Path) -> None:
    """Train a model if `folder` has no trained model yet."""
    build_missing_pairs(size, folder)
    if not (folder / "trained.pickle").exists():
        training(size, folder)


def evaluation(size: int, folder: Path) -> dict[str, float]:
    """Compute all figures of the trained model, and of the models that it is compared with."""
    from benchmarks.scale.planted_lab import planted
    from thumblab_pipelines.evaluation.evaluate import evaluate, figure
    from thumblab_pipelines.evaluation.figures import FUTURE

    trained = _trained(folder)
    with planted(size, folder) as lab:
        evaluations = evaluate(_newest(lab), trained.held)
    return {"figures": float(len(evaluations)), "AUC": figure(evaluations, FUTURE).value or 0.0}


def publication(size: int, folder: Path) -> dict[str, float]:
    """Publish the trained model as a release with one figure. Load the release, because loading also checks the files
    of the release.
    """
    from benchmarks.scale.planted_lab import planted
    from thumblab_core.ranking.trained_ranker import TrainedRanker
    from thumblab_pipelines.evaluation.figures import FUTURE, MODEL, Place
    from thumblab_pipelines.models.build import publish_model

    trained = _trained(folder)
    figures = [Place(FUTURE, "all", MODEL, "auc").figure(0.5, (0.4, 0.6), 100, 10)]
    with planted(size, folder) as lab:
        release = publish_model(lab, _newest(lab), trained, figures, "planted")
        TrainedRanker.load(release)
    return {"release GB": sum(file.stat().st_size for file in release.path.iterdir()) / 1e9}


def _histories(lab: "Lab") -> dict[str, float]:
    from thumblab_pipelines.features.views_at_age import compute_views_at_age

    return {"estimated": float(sum(compute_views_at_age(lab, niche).estimated for niche in lab.niches))}


def _newest(lab: "Lab") -> Any:
    from thumblab_pipelines.dataset.load import load_dataset
    from thumblab_pipelines.dataset.retained_pairs import newest_pairs

    return load_dataset(lab, newest_pairs(lab))


def _trained(folder: Path) -> Any:
    import pickle

    with (folder / "trained.pickle").open("rb") as file:
        return pickle.load(file)  # noqa: S301  (this benchmark wrote the file)


STAGES: list[Stage] = [
    Stage("histories", "videos", histories, plant),
    Stage("histories-again", "videos", histories, plant_new_counts),
    Stage("baselines", "videos", baselines, plant),
    Stage("pairs", "videos", pairs, plant),
    Stage("training", "videos", training, build_missing_pairs),
    Stage("evaluation", "videos", evaluation, train_missing),
    Stage("publication", "videos", publication, train_missing),
]
