"""Report to the lab's Dagster which model a command has trained, and which served releases the command has changed.

If the lab has no Dagster, nothing is reported.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from thumblab_pipelines.dagster_observations import Event
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.build import BuiltModel
    from thumblab_pipelines.models.tracking import Tracked


@contextmanager
def dagster_told(lab: "Lab", command: str) -> Iterator[None]:
    """Report to Dagster each change of a served release in the `with` block, even if the block fails.

    Dagster shows `command` as the cause. If the report to Dagster fails, a note on stderr says so. Dagster is imported
    only if a served release has changed, because the import takes a second.
    """
    from thumblab_pipelines.pointer_moves import Move, pointer_moves

    moves: list[Move] = []
    try:
        with pointer_moves(lab) as moves:
            yield
    finally:
        if moves and _home(lab) is not None:
            from thumblab_pipelines.dagster_observations import observations

            _tell(lab, observations(moves, f"`thumblab {command}`"))


def tell_of_model(lab: "Lab", built: "BuiltModel", tracked: "Tracked | None", command: str) -> None:
    """Report a trained model as a materialization of `ranking_model`. Report nothing if the command has used the model
    of an earlier training.
    """
    if built.reused or _home(lab) is None:
        return
    import dagster as dg

    metadata: dict[str, dg.MetadataValue | str | int] = {
        "dagster/row_count": built.release.info["videos"],
        "cause": f"`thumblab {command}`",
        "release": built.release.release_id,
    }
    if tracked is not None:
        metadata["mlflow_run_id"] = tracked.run_id
    _tell(lab, [dg.AssetMaterialization("ranking_model", description="trained outside a run", metadata=metadata)])


def tell_of_niches(lab: "Lab") -> None:
    """Make Dagster's partitions equal to the niches of the lab. Without this call, the sensor `niches` does so later."""
    home = _home(lab)
    if home is None:
        return
    from thumblab_pipelines.dagster_partitions import tell_dagster_of_niches

    problem = tell_dagster_of_niches(home, lab.settings.data_dir.resolve(), lab.niches)
    if problem is not None:
        click.echo(f"note: {problem}", err=True)


def _tell(lab: "Lab", events: "Sequence[Event]") -> None:
    from thumblab_pipelines.dagster_observations import tell_dagster

    home = _home(lab)
    assert home is not None  # The callers have checked before that `_home()` is not None.
    problem = tell_dagster(home, lab.settings.data_dir.resolve(), events)
    if problem is not None:
        click.echo(f"note: {problem}", err=True)


def _home(lab: "Lab") -> Path | None:
    """Return the folder with the `dagster.yaml` of the lab, or None if the lab has no Dagster.

    In a container, DAGSTER_HOME is the path of this folder. Otherwise, the folder is in the data folder of the lab,
    where `thumblab up` makes it. DAGSTER_HOME is ignored if the `dagster.yaml` in it does not use the lab's storage,
    because such a folder belongs to another project.
    """
    named = os.environ.get("DAGSTER_HOME")
    for folder in (*([Path(named)] if named else []), lab.settings.data_dir.resolve() / "dagster"):
        config = folder / "dagster.yaml"
        if config.is_file() and "thumblab_pipelines.dagster_storage" in config.read_text(errors="replace"):
            return folder
    return None
