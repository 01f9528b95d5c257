"""From what the lab holds to what is served, without asking YouTube: for a lab that lives on imported catalogues.

The steps are those of the assets, one after the other. Each does only what is missing, so a refresh that was stopped goes on
where it was when it is run again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from thumblab_core.database.tables import videos
from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.channels.adapter import refit_channel_adapters
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset.checks import check_pairs
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.features.baselines import compute_baselines
from thumblab_pipelines.features.embed import check_embeddings, embed
from thumblab_pipelines.features.sub_scores import check_features, measure_features
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import build_index, check_index, promote_index
from thumblab_pipelines.models.build import build_model, check_model
from thumblab_pipelines.models.champion import serve_newest
from thumblab_pipelines.models.promotion import promote_newest, prune_models
from thumblab_pipelines.models.tracking import Tracker, log_model
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.training.checkpoints import TrainingStoppedError

Made = Callable[[str, str | None, int], None]
"""Told of what was made: the name of the asset, its niche if it has one, and how many rows it has."""


@dataclass(frozen=True)
class RefreshedNiche:
    """What one niche serves now. `remarks` name what was left out, and why."""

    niche: str
    encoded: int
    measured: int
    served: Release
    remarks: list[str]


@dataclass(frozen=True)
class RefreshedModel:
    """The model that is served now, None where none is; `explanation` says what became of the newest one."""

    served: Release | None
    explanation: str


@dataclass(frozen=True)
class Refreshed:
    """What became of each niche, and of the model: None where none was asked for, or no niche could be refreshed."""

    niches: list[RefreshedNiche]
    failed: dict[str, LabError]
    model: RefreshedModel | None

    def require_all(self) -> None:
        """Raise `LabError` with the niches that failed and why; transient where trying again may help one of them."""
        if not self.failed:
            return
        why = "; ".join(f"{niche} ({error})" for niche, error in self.failed.items())
        error = LabError(
            f"{len(self.failed)} of {len(self.failed) + len(self.niches)} niches were not refreshed: {why}"
        )
        error.transient = any(error.transient for error in self.failed.values())
        raise error


def held_niches(lab: Lab) -> list[str]:
    """The niches that the lab has videos of."""
    with lab.engine.connect() as connection:
        held = set(connection.scalars(select(videos.c.niche).distinct()))
    return [niche for niche in NICHES if niche in held]


def refresh_niche(lab: Lab, niche: str, progress: Progress = silent, made: Made = lambda *_: None) -> RefreshedNiche:
    """Encode, measure, index and serve what the lab holds of the niche.

    Raises `LabError` where a check that stops the assets would stop them here.
    """
    encoded = embed(lab, niche, progress)
    _require(niche, "embeddings", check_embeddings(lab, niche))
    made("embeddings", niche, encoded.had + encoded.images + encoded.titles)
    measured = measure_features(lab, niche, progress)
    _require(niche, "visual_features", check_features(lab, niche))
    made("visual_features", niche, measured.had + measured.measured)
    made("channel_baselines", niche, compute_baselines(lab, niche).channels)
    progress(f"{niche}: building the index", 0, 1)
    built = build_index(lab, niche)
    _require(niche, "faiss_index", check_index(lab, built.release))
    made("faiss_index", niche, built.release.info["count"])
    served = promote_index(lab, niche)
    progress(f"{niche}: building the index", 1, 1)
    made("served_index", niche, served.release.info["count"])
    remarks = [*encoded.unreadable, *encoded.without, *measured.unreadable]
    if served.held is not None:
        remarks.append(f"{niche} is held: {served.held}; `thumblab index resume {niche}` lets it go on")
    return RefreshedNiche(niche, encoded.images + encoded.titles, measured.measured, served.release, remarks)


def refresh_model(
    lab: Lab, connect: Callable[[], Tracker | None], progress: Progress = silent, made: Made = lambda *_: None
) -> RefreshedModel:
    """Train on the pairs of what the lab holds, and serve the model where it is fit and not worse than the one before.

    Logged to MLflow where `connect`, which is asked once there is a model, gives a tracker. Where there is too little to
    learn from, nothing is trained.
    """
    before = lab.releases.serving.current(MODEL, ALL)
    progress("building the training pairs", 0, 1)
    pairs = build_pairs(lab)
    bad = [verdict.explanation for verdict in check_pairs(pairs.release) if not verdict.passed]
    if bad:
        return RefreshedModel(before, f"nothing was trained, for there is too little to learn from: {'; '.join(bad)}")
    made("training_pairs", None, sum(pairs.release.info["pairs"].values()))
    try:
        built = build_model(lab, progress=progress)
    except TrainingStoppedError:
        raise
    except LabError as error:
        if error.transient:
            raise
        return RefreshedModel(before, f"nothing was trained: {error}")
    made("ranking_model", None, built.release.info["videos"])
    tracker = connect()
    if tracker is not None:
        log_model(lab, tracker, built)
    bad = [verdict.explanation for verdict in check_model(lab, built.release) if not verdict.passed]
    if bad:
        return RefreshedModel(
            before, f"{built.release.release_id} is trained, and not fit to be served: {'; '.join(bad)}"
        )
    if tracker is None:
        _, release, decision = promote_newest(lab)
        prune_models(lab)
    else:
        served = serve_newest(lab, tracker.registry)
        release, decision = served.release, served.decision
    refit_channel_adapters(lab, release, progress)
    made("served_model", None, release.info["videos"])
    return RefreshedModel(release, f"{built.release.release_id} is trained: {decision.reason}")


def refresh_all(
    lab: Lab,
    niches: Sequence[str],
    connect: Callable[[], Tracker],
    progress: Progress = silent,
    made: Made = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
    train: bool = True,
) -> Refreshed:
    """Refresh the niches, and then the model where one of them could be. A niche that fails stops no other.

    `say` is told what was done, `note` what was left out. Where `connect` raises `LabError`, the model is served, and not
    logged to MLflow.
    """

    def tracker() -> Tracker | None:
        try:
            return connect()
        except LabError as error:
            note(f"the model is not logged: {error}")
            return None

    done: list[RefreshedNiche] = []
    failed: dict[str, LabError] = {}
    for niche in niches:
        try:
            found = refresh_niche(lab, niche, progress, made)
        except LabError as error:
            failed[niche] = error
            note(f"{niche} was not refreshed: {error}")
            continue
        done.append(found)
        for remark in found.remarks:
            note(remark)
        say(
            f"{niche}: {found.encoded} encoded, {found.measured} measured; {found.served.info['count']} thumbnails are "
            f"served by {found.served.release_id}"
        )
    model = refresh_model(lab, tracker, progress, made) if train and done else None
    if model is not None:
        say(f"model: {model.explanation}")
        say(f"model: {model.served.release_id} is served" if model.served else "model: none is served yet")
    return Refreshed(done, failed, model)


def _require(niche: str, step: str, verdicts: Sequence[CheckResult]) -> None:
    bad = [f"{verdict.name} ({verdict.explanation})" for verdict in verdicts if not verdict.passed]
    if bad:
        raise LabError(f"{niche} stopped at the checks of {step}: {'; '.join(bad)}")
