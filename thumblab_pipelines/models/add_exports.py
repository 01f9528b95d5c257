"""Make a channel from its exports, to the end: import it, train a first model if none is served, and fit the adapter.

The command `thumblab channel add EXPORT` and the job `add_channel` both do this.
"""

from collections.abc import Callable
from dataclasses import dataclass

from thumblab_core.errors import LabError, NoServedModelError
from thumblab_pipelines.channels.adapter import served_model
from thumblab_pipelines.channels.add import AddedChannel
from thumblab_pipelines.channels.export_channel import GivenExports
from thumblab_pipelines.channels.from_export import ImportedExports, add_imported_channel, import_exports
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models.refresh import RefreshListener, refresh_all
from thumblab_pipelines.models.tracking import Tracker
from thumblab_pipelines.progress import Progress, silent


@dataclass(frozen=True)
class AddListener:
    """The callbacks of `add_exports`.

    `progress` is a callback of the type `Progress`. `imported` is called when the exports are imported. `info` and
    `warn` are called with sentences about the training of a first model.
    """

    progress: Progress = silent
    imported: Callable[[ImportedExports], None] = lambda imported: None
    info: Callable[[str], None] = lambda sentence: None
    warn: Callable[[str], None] = lambda sentence: None


def add_exports(
    lab: Lab, given: GivenExports, connect: Callable[[], Tracker], listener: AddListener
) -> tuple[ImportedExports, AddedChannel]:
    """Import the exports of a channel, and fit and serve its adapter.

    If no model is served yet, the library of the channel's niche is built and served, and a first model is trained on
    the videos of the lab. `connect` is then called to log the model to MLflow, see `refresh_all`.

    Raises the errors of `import_exports`. Raises `LabError` if no video has a thumbnail, if no model can be trained, or
    if the adapter cannot be fitted. What was imported before stays in the lab.
    """
    imported = import_exports(lab, given, listener.progress)
    listener.imported(imported)
    if not imported.pictures:
        reason = "; ".join(imported.remarks[-1:] or imported.missing[:1])
        raise LabError(
            f"the videos are imported, but none of them has a thumbnail yet, so nothing can be learnt: {reason}"
        )
    try:
        served_model(lab)
    except NoServedModelError:
        _train_first(lab, imported.niche, connect, listener)
    return imported, add_imported_channel(lab, imported.channel, listener.progress)


def _train_first(lab: Lab, niche: str, connect: Callable[[], Tracker], listener: AddListener) -> None:
    listener.info("No model is served yet, so one is trained on the videos of the lab first.")
    refreshing = RefreshListener(listener.progress, info=listener.info, warn=listener.warn)
    refreshed = refresh_all(lab, [niche], connect, refreshing)
    refreshed.require_all()
    if refreshed.model is not None and refreshed.model.served is None:
        raise LabError(
            f"the videos are imported, but the lab has no model that can be adapted to them: {refreshed.model.explanation}"
        )
