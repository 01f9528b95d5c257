"""Report a change of the served release to Dagster if no materialization made the change, as after a rollback.

Dagster stores the report as an observation of the asset. So the asset's page shows the change among its
materializations.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from thumblab_pipelines.dagster_storage import open_instance
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.pointer_moves import Move, pointer_moves

_log = logging.getLogger(__name__)

Event = dg.AssetObservation | dg.AssetMaterialization


def observations(moves: Sequence[Move], cause: str) -> list[dg.AssetObservation]:
    """Return an observation for each move of a pointer. `cause` says what moved the pointers, such as a command.

    The moves of all channel adapters share one observation, because a training replaces the adapters of all channels.
    """
    described = [
        dg.AssetObservation(
            move.asset,
            partition=move.niche,
            description=f"{cause} changed what is served",
            metadata={
                "cause": cause,
                "release": move.after or "none",
                "served_before": move.before or "none",
            },
        )
        for move in moves
        if move.channel is None
    ]
    adapters = {move.channel: move.after or "none" for move in moves if move.channel is not None}
    if adapters:
        described.append(
            dg.AssetObservation(
                "served_model",
                description=f"{cause} changed the adapters of {len(adapters)} channels",
                metadata={"cause": cause, "channel_adapters": dg.MetadataValue.json(adapters)},
            )
        )
    return described


@contextmanager
def observed_moves(lab: Lab, context: dg.OpExecutionContext | dg.AssetExecutionContext, cause: str) -> Iterator[None]:
    """Record an observation in the current run for each pointer that the `with` block moves, even if the block
    fails."""
    moves: list[Move] = []
    try:
        with pointer_moves(lab) as moves:
            yield
    finally:
        for event in observations(moves, cause):
            context.log_event(event)


def tell_dagster(home: Path, data_dir: Path, events: Sequence[Event]) -> str | None:
    """Record events in the Dagster instance of the lab in `data_dir`, outside any run. `home`: the folder of
    `dagster.yaml`.

    Return None if the events were recorded. Otherwise return a sentence with the reason, and raise no error, because
    the reported change itself was made.
    """
    try:
        with open_instance(home, data_dir) as instance:
            for event in events:
                instance.report_runless_asset_event(event)
    except Exception as error:  # noqa: BLE001  Dagster raises errors of many libraries, and the change was made anyway.
        _log.debug("the change could not be recorded in Dagster", exc_info=True)
        return f"the change was made, but could not be recorded in Dagster: {type(error).__name__}"
    return None
