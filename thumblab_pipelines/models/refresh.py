"""Build and serve the indices and the model from the videos that the lab has, without a call to YouTube.

This refresh is for a lab without an API key. The videos of such a lab come from imported catalogues. The refresh runs
the steps of the Dagster assets one after the other. Work that an earlier refresh has finished is not repeated. So if a
refresh is stopped, the next refresh does only the rest of the work.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from thumblab_core.database.tables import videos
from thumblab_core.errors import LabError
from thumblab_core.releases.release import ALL, MODEL, Release
from thumblab_pipelines.channels.adapter import refit_channel_adapters
from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.dataset.pairs import build_pairs, check_built_pairs
from thumblab_pipelines.features.baselines import compute_baselines
from thumblab_pipelines.features.check_vectors import check_embeddings
from thumblab_pipelines.features.embed import embed, load_encoders
from thumblab_pipelines.features.export_encoder import export_encoder
from thumblab_pipelines.features.sub_scores import check_features, measure_features
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import build_index, check_index, promote_index
from thumblab_pipelines.library_map.build import build_map, check_map, promote_map
from thumblab_pipelines.models.build import build_model, check_model
from thumblab_pipelines.models.champion import serve_newest
from thumblab_pipelines.models.promotion import promote_newest, prune_models
from thumblab_pipelines.models.tracking import Tracker, log_model
from thumblab_pipelines.progress import Progress, silent
from thumblab_pipelines.training.config import TrainingStoppedError


@dataclass(frozen=True)
class RefreshListener:
    """The callbacks of a refresh.

    `progress`: a callback of the type `Progress`. `made`: called after an asset was made, with its name, its niche (or
    None) and its number of rows. `info`: called with a sentence for each finished step. `warn`: called with a sentence
    for each item that was left out.
    """

    progress: Progress = silent
    made: Callable[[str, str | None, int], None] = lambda asset, niche, rows: None
    info: Callable[[str], None] = lambda sentence: None
    warn: Callable[[str], None] = lambda sentence: None


SILENT = RefreshListener()


@dataclass(frozen=True)
class RefreshedNiche:
    """The result of refreshing one niche.

    `encoded`: number of new vectors. `measured`: number of newly measured thumbnails. `served`: the release of the
    served index. `remarks`: sentences that say what was left out, and why.
    """

    niche: str
    encoded: int
    measured: int
    served: Release
    remarks: list[str]


@dataclass(frozen=True)
class RefreshedModel:
    """The result of refreshing the model. `served`: the model that is served now, or None.

    `explanation`: a sentence that says whether the newest model is served, and why.
    """

    served: Release | None
    explanation: str


@dataclass(frozen=True)
class RefreshResult:
    """The result of a refresh: the refreshed niches, the errors of the failed niches, and the model.

    `model` is None when no training was requested, or when no niche could be refreshed.
    """

    niches: list[RefreshedNiche]
    failed: dict[str, LabError]
    model: RefreshedModel | None

    def problem(self) -> LabError | None:
        """Return one error that names each failed niche and its error. Return None if no niche failed.

        The error is transient if at least one niche has a transient error.
        """
        if not self.failed:
            return None
        reasons = "; ".join(f"{niche} ({error})" for niche, error in self.failed.items())
        error = LabError(
            f"{len(self.failed)} of {len(self.failed) + len(self.niches)} niches were not refreshed: {reasons}"
        )
        error.transient = any(error.transient for error in self.failed.values())
        return error

    def require_all(self) -> None:
        """Raise `LabError` with all errors if a niche failed, see `problem`."""
        error = self.problem()
        if error is not None:
            raise error


def niches_with_videos(lab: Lab) -> list[str]:
    """Return the niches that have videos in the lab, in the order in which the niches were added."""
    with lab.engine.connect() as connection:
        held = set(connection.scalars(select(videos.c.niche).distinct()))
    return [niche for niche in lab.niches if niche in held]


def refresh_niche(lab: Lab, niche: str, listener: RefreshListener = SILENT) -> RefreshedNiche:
    """Encode and measure the videos of a niche, and build and serve its index.

    Raises `LabError` when a check fails. In Dagster, the same checks block the assets.
    """
    progress, made = listener.progress, listener.made
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
    not_exported = export_encoder(lab, progress)
    remarks = [*encoded.unreadable, *encoded.without, *measured.unreadable]
    if not_exported is not None:
        remarks.append(not_exported)
    if served.held is not None:
        remarks.append(f"the index of {niche} is held: {served.held}; `thumblab index resume {niche}` ends the hold")
    return RefreshedNiche(niche, encoded.images + encoded.titles, measured.measured, served.release, remarks)


def refresh_model(
    lab: Lab, connect: Callable[[], Tracker | None], listener: RefreshListener = SILENT
) -> RefreshedModel:
    """Train on the lab's videos, and serve the model if it passes its checks and is not worse than the served model.

    `connect` is called after the training. If `connect` returns a tracker, the model is logged to MLflow. If there are
    too few videos to learn from, nothing is trained, and no error is raised.
    """
    progress, made = listener.progress, listener.made
    before = lab.releases.serving.current(MODEL, ALL)
    progress("building the training pairs", 0, 1)
    pairs = build_pairs(lab)
    progress("building the training pairs", 1, 1)
    failed = _failed(check_built_pairs(lab, pairs))
    if failed:
        return RefreshedModel(before, f"nothing was trained, because there is too little to learn from: {failed}")
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
    failed = _failed(check_model(lab, built.release))
    if failed:
        return RefreshedModel(before, f"{built.release.release_id} was trained and does not pass its checks: {failed}")
    if tracker is None:
        _, release, decision = promote_newest(lab)
        prune_models(lab)
    else:
        served = serve_newest(lab, tracker.registry)
        release, decision = served.release, served.decision
    refit_channel_adapters(lab, release, progress)
    made("served_model", None, release.info["videos"])
    what = "is the model of these pairs" if built.reused else "was trained"
    return RefreshedModel(release, f"{built.release.release_id} {what}: {decision.reason}")


def refresh_niches(
    lab: Lab, niches: Sequence[str], listener: RefreshListener = SILENT
) -> tuple[list[RefreshedNiche], dict[str, LabError]]:
    """Refresh the niches. Return the refreshed niches, and the errors of the failed niches.

    If a niche fails, the other niches are still refreshed. A niche that a person retires in the meantime is left out, and
    is no failure. If the niches need an encoder that cannot be loaded, `LabError` is raised before any work.
    """
    load_encoders(lab, niches)
    done: list[RefreshedNiche] = []
    failed: dict[str, LabError] = {}
    for niche in niches:
        try:
            refreshed = refresh_niche(lab, niche, listener) if niche in lab.niches else None
        except LabError as error:
            if niche in lab.niches:
                failed[niche] = error
                listener.warn(f"{niche} was not refreshed: {error}")
                continue
            refreshed = None
        if refreshed is None:
            listener.warn(f"{niche} was not refreshed, because it was retired in the meantime")
            continue
        done.append(refreshed)
        for remark in refreshed.remarks:
            listener.warn(remark)
        listener.info(
            f"{niche}: {refreshed.encoded} encoded, {refreshed.measured} measured; "
            f"{refreshed.served.info['count']} thumbnails are served by {refreshed.served.release_id}"
        )
    return done, failed


def map_libraries(lab: Lab, niches: Sequence[str], listener: RefreshListener = SILENT) -> None:
    """Make and serve a map of each niche, and a map of the libraries of all niches. Report the result.

    Nothing else needs the maps. So if a map cannot be made, `listener.warn` gets the reason, and no error is raised.
    """
    scopes = [*niches, ALL]
    for number, scope in enumerate(scopes):
        listener.progress("mapping the libraries", number, len(scopes))
        try:
            built = build_map(lab, scope)
            checks = check_map(built)
            served = promote_map(lab, built, checks)
            if failed := _failed([check for check in checks if not check.advisory]):
                listener.warn(f"the new map of {scope} is not served: {failed}")
                continue
        except LabError as error:
            listener.warn(f"{scope} was not mapped: {error}")
            continue
        if served is not None and served.held is not None:
            listener.warn(f"the map of {scope} is held: {served.held}; the job roll_back_map ends the hold")
        asset, niche = ("library_map_of_all", None) if scope == ALL else ("library_map", scope)
        listener.made(asset, niche, built.release.info["videos"])
    listener.progress("mapping the libraries", len(scopes), len(scopes))


def train_and_serve(lab: Lab, connect: Callable[[], Tracker], listener: RefreshListener = SILENT) -> RefreshedModel:
    """Refresh the model as `refresh_model` does, and report the result.

    If `connect` raises `LabError`, the model is served without being logged to MLflow.
    """

    def tracker() -> Tracker | None:
        try:
            return connect()
        except LabError as error:
            listener.warn(f"the model is not logged: {error}")
            return None

    model = refresh_model(lab, tracker, listener)
    listener.info(f"model: {model.explanation}")
    listener.info(f"model: {model.served.release_id} is served" if model.served else "model: none is served yet")
    return model


def refresh_all(
    lab: Lab,
    niches: Sequence[str],
    connect: Callable[[], Tracker],
    listener: RefreshListener = SILENT,
    train: bool = True,
) -> RefreshResult:
    """Refresh the niches. If `train` is true and at least one niche was refreshed, refresh the model too.

    See `refresh_niches` and `train_and_serve` for what happens after an error.
    """
    done, failed = refresh_niches(lab, niches, listener)
    model = train_and_serve(lab, connect, listener) if train and done else None
    return RefreshResult(done, failed, model)


def _require(niche: str, step: str, checks: Sequence[CheckResult]) -> None:
    """Raise `LabError` with the failed checks of a step, if there are any."""
    failed = [f"{check.name} ({check.explanation})" for check in checks if not check.passed]
    if failed:
        raise LabError(f"{niche} was not refreshed, because checks of {step} failed: {'; '.join(failed)}")


def _failed(checks: Sequence[CheckResult]) -> str:
    """Return the explanations of the failed checks in one line, or "" if all checks passed."""
    return "; ".join(check.explanation for check in checks if not check.passed)
