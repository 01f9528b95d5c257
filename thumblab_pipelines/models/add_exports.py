"""Do all steps that add a channel from its exports: import, train a first model if none is served, and fit the adapter.

The command `thumblab channel add EXPORT` and the job `add_channel` both call this module.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import func, select

from thumblab_core.database.tables import thumbnails, videos
from thumblab_core.errors import LabError, NoServedModelError
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.channels.adapter import served_model
from thumblab_pipelines.channels.add import AddedChannel
from thumblab_pipelines.channels.export_channel import GivenExports
from thumblab_pipelines.channels.export_pictures import picture_urls
from thumblab_pipelines.channels.from_export import ImportedExports, add_imported_channel, import_exports
from thumblab_pipelines.channels.import_report import NoFirstModelError
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.refresh import RefreshListener, refresh_all, refresh_niche
from thumblab_pipelines.models.tracking import Tracker
from thumblab_pipelines.progress import Progress, silent

_LEAST_VIDEOS = 20
"""Minimum number of videos with a thumbnail in the niche. With fewer videos, an import does not build the first
library.

In such a small library, the rank of a thumbnail would mean little.
"""


@dataclass(frozen=True)
class AddListener:
    """The callbacks of `add_exports`.

    `progress`: a callback of the type `Progress`. `imported`: called after the exports were imported. `info`, `warn`:
    called with sentences about the training of a first model.
    """

    progress: Progress = silent
    imported: Callable[[ImportedExports], None] = lambda imported: None
    info: Callable[[str], None] = lambda sentence: None
    warn: Callable[[str], None] = lambda sentence: None


def add_exports(
    lab: Lab, given: GivenExports, connect: Callable[[], Tracker], listener: AddListener
) -> tuple[ImportedExports, AddedChannel]:
    """Import the exports of a channel, and fit and serve its adapter.

    If no model is served yet, a first model is trained on the videos of the lab. Before the training, the library of
    the channel's niche is built and served. After the training, `connect` is called to log the model to MLflow, see
    `refresh_all`. If a model is served but the library is missing, only the library is built and served. If the niche
    has too few videos, no library is built.

    Raises `NoNameError`, `NotYoursError`, `NoNicheError` or `LabError` if `import_exports` cannot import the exports.
    Also raises `LabError` if no video has a thumbnail, if no model can be trained, or if the adapter cannot be fitted.
    If the error came after the import, the imported data stays in the lab.
    """
    imported = import_exports(lab, given, listener.progress)
    has_model = _has_model(lab)
    lacks_library = lab.releases.serving.current_id(INDEX, imported.niche) is None
    if has_model and lacks_library and imported.pictures:
        imported.library_needs = max(0, _LEAST_VIDEOS - _pictures_of(lab, imported.niche))
    listener.imported(imported)
    if not imported.pictures:
        raise LabError(_nothing_learnt(lab, imported))
    if not has_model:
        _train_first(lab, imported.niche, connect, listener)
    elif lacks_library and not imported.library_needs:
        _make_library(lab, imported.niche, listener)
    return imported, add_imported_channel(lab, imported.channel, listener.progress)


def _nothing_learnt(lab: Lab, imported: ImportedExports) -> str:
    """Return the error sentence for an import without a picture: what was stored, how to try again or to delete it."""
    host = urlsplit(picture_urls(lab, "")[0]).netloc
    rates = len({video_id for report in imported.ctr for video_id in report.video_ids})
    channel_id = imported.channel.channel_id
    return (
        f"the videos are imported, but nothing can be learnt without a thumbnail: {imported.no_pictures}. The lab has "
        f"stored {imported.videos} videos and {rates} click-through rates, and got no picture from {host}. To try again, "
        "add the same exports; the lab then asks only for what is missing. To delete the videos of the channel with "
        f"their rates, run `thumblab channel remove {channel_id} --forget`"
    )


def _has_model(lab: Lab) -> bool:
    try:
        served_model(lab)
    except NoServedModelError:
        return False
    return True


def _pictures_of(lab: Lab, niche: str) -> int:
    joined = videos.join(thumbnails, thumbnails.c.video_id == videos.c.video_id)
    statement = (
        select(func.count()).select_from(joined).where(videos.c.niche == niche, thumbnails.c.sha256.is_not(None))
    )
    with lab.engine.connect() as connection:
        return connection.scalar(statement) or 0


def _make_library(lab: Lab, niche: str, listener: AddListener) -> None:
    """Build and serve the first library of a niche. An error is only logged, because the service can answer without a
    library."""
    listener.info(f"{niche} has no library yet, so a library is built from the lab's videos.")
    try:
        refresh_niche(lab, niche, RefreshListener(listener.progress, info=listener.info, warn=listener.warn))
    except LabError as error:
        listener.warn(f"the library of {niche} could not be built: {error}")


def _train_first(lab: Lab, niche: str, connect: Callable[[], Tracker], listener: AddListener) -> None:
    listener.info("No model is served yet, so a model is first trained on the videos of the lab.")
    refreshing = RefreshListener(listener.progress, info=listener.info, warn=listener.warn)
    refreshed = refresh_all(lab, [niche], connect, refreshing)
    refreshed.require_all()
    if refreshed.model is not None and refreshed.model.served is None:
        raise NoFirstModelError(
            f"the videos are imported, but the lab has no model that can be adapted to them: {refreshed.model.explanation}"
        )
