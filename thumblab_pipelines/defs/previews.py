"""Put previews with pictures into the metadata of an asset, and remove the pictures of earlier materializations.

Dagster keeps the metadata of every materialization. But a thumbnail must not be kept after its video was deleted. So
only the newest materialization of an asset, or of a partition, has pictures of thumbnails.
"""

from typing import Any

import dagster as dg
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

NAME = "preview"
REMOVED = "The pictures were removed when a later run made new ones."

_LOOKED_AT = 50
"""Number of earlier materializations that are searched for pictures. Normally, only the newest materialization has
pictures. If a run died, older materializations may have pictures too."""


def preview(text: str | None) -> dict[str, Any]:
    """Return metadata of Dagster with `text`, in Markdown, as the preview. Without a text, the metadata is empty."""
    return {} if text is None else {NAME: dg.MetadataValue.md(text)}


def picture_preview(context: dg.AssetExecutionContext, text: str | None) -> dict[str, Any]:
    """Return the metadata of `preview` for a text with thumbnails. Remove the pictures of earlier materializations."""
    remove_pictures(context.instance, context.asset_key, context.partition_key if context.has_partition_key else None)
    return preview(text)


def remove_pictures(instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str | None) -> int:
    """Remove the pictures from the previews of an asset's materializations. Return the number of changed
    materializations."""
    storage = instance.event_log_storage
    # Dagster's storage in SQLite keeps two copies of an event in two files. This function does not change such a
    # storage, because the lab never uses it (see `thumblab_pipelines.dagster_storage`).
    if not isinstance(storage, SqlEventLogStorage) or isinstance(storage, SqliteEventLogStorage):
        return 0
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=None if partition is None else [partition])
    removed = 0
    for record in instance.fetch_materializations(wanted, limit=_LOOKED_AT).records:
        entry = record.event_log_entry
        materialization = record.asset_materialization
        if materialization is None or entry.dagster_event is None:
            continue
        shown = materialization.metadata.get(NAME)
        if not isinstance(shown, dg.MarkdownMetadataValue) or "(data:image/" not in (shown.md_str or ""):
            continue
        metadata = {**materialization.metadata, NAME: dg.MetadataValue.md(REMOVED)}
        data = entry.dagster_event.step_materialization_data
        changed = data._replace(materialization=materialization._replace(metadata=metadata))
        event = entry.dagster_event._replace(event_specific_data=changed)
        storage.update_event_log_record(record.storage_id, entry._replace(dagster_event=event))
        removed += 1
    return removed
