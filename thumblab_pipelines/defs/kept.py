"""List where each asset is stored: the tables of the database, and the releases and pointers.

`TABLES` and `RELEASES` name the asset that owns each table or release. An asset that reads a table or release must
depend on the asset that owns it. A test records what every step reads, and compares it with the declared dependencies.
"""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
from sqlalchemy import Table

from thumblab_core.database import tables as t
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.releases.release import ENCODER, FACE_HEAD, INDEX, MODEL, PAIRS, Release
from thumblab_core.settings import CHECKOUT
from thumblab_pipelines.code_versions import code_version
from thumblab_pipelines.mlflow_links import mlflow_link
from thumblab_pipelines.models.tracking import NAME

TABLES: Mapping[str, tuple[Table, ...]] = {
    "videos": (t.videos, t.channels, t.video_stats),
    "crawled_videos": (t.crawl_videos, t.crawl_channels, t.crawl_searches),
    "view_history": (t.views_at_age, t.view_histories),
    "true_ctr": (t.video_reach, t.reach_reports),
    "experiments": (t.experiments, t.experiment_variants),
    "thumbnails": (t.thumbnails, t.thumbnail_versions),
    "embeddings": (t.embeddings, t.earlier_embeddings, t.encoding_failures),
    "visual_features": (t.visual_features,),
    "channel_baselines": (t.channel_baselines,),
    "ranking_model": (t.model_evaluations,),
    "kept_predictions": (t.predictions, t.prediction_candidates),
    "prediction_quality": (t.prediction_outcomes,),
    "niche_report": (t.niche_reports, t.niche_report_examples),
    "faces": (t.faces, t.face_pictures, t.face_embeddings),
    "face_clusters": (t.face_clusters, t.face_assignments, t.face_centroids, t.face_calibrations),
}
"""The tables of each asset. The first table of an asset is its main table."""

UNOWNED: Mapping[str, str] = {
    "quota_ledger": "the spent YouTube quota; every caller of the API writes here",
    "charts": "which charts YouTube has; raw_videos asks again from time to time",
    "library_exclusions": "what a person took out of a library",
    "people_pictures": "pictures that a person gave to find people in",
    "face_bans": "what a person said about faces",
    "face_changes": "what a person changed in clusters of faces",
    "face_change_faces": "which faces a person changed",
    "forgotten_faces": "where a person had a face forgotten",
    "index_rebuilds": "the rebuilds that were requested; not data",
    "niches": "which niches a person wants, and where their videos come from",
    f"release {ENCODER}": "the precision of an encoder; it is chosen once, and every process uses it",
}
"""The tables and releases that no asset owns, each with the reason."""

RELEASES: Mapping[str, tuple[str, ...]] = {
    "faiss_index": (f"release {INDEX}",),
    "served_index": (f"pointer {INDEX}",),
    "training_pairs": (f"release {PAIRS}", f"pointer {PAIRS}"),
    "ranking_model": (f"release {MODEL}",),
    "library_map": (f"release {LIBRARY_MAP}", f"pointer {LIBRARY_MAP}"),
    "matching_head": (f"release {FACE_HEAD}", f"pointer {FACE_HEAD}"),
    "served_model": (f"pointer {MODEL}", "release adapter", "pointer adapter"),
}
"""For each asset, the kinds of the releases and pointers that its runs write."""


def about(asset: str, docs: str, *steps: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments `code_version` and `metadata` of an asset: how it is made, and where it is stored.

    `docs`: name of a file in the folder `docs`. `steps`: the functions that make the asset. The asset's code version
    changes if code that these functions can reach has changed, see `code_version`.
    """
    return {"code_version": code_version(*steps), "metadata": kept(asset, docs)}


def kept(asset: str, docs: str) -> dict[str, Any]:
    """Return the metadata of an asset: its tables, the schema of its main table, and a link to its documentation."""
    metadata: dict[str, Any] = {"docs": dg.MetadataValue.path(str(CHECKOUT / "docs" / docs))}
    tables = TABLES.get(asset, ())
    if tables:
        metadata["dagster/table_name"] = tables[0].name
        metadata["dagster/column_schema"] = _schema(tables[0])
    if asset in ("ranking_model", "served_model"):
        metadata["mlflow"] = mlflow_link(f"#/models/{NAME}")
    if len(tables) > 1:
        metadata["further_tables"] = ", ".join(table.name for table in tables[1:])
    return metadata


def release_metadata(release: Release) -> dict[str, Any]:
    """Return metadata with the id of a release and the path of its folder."""
    return {"release": release.release_id, "dagster/uri": release.path.resolve().as_uri()}


def _schema(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=str(column.type).lower(),
                description=column.comment,
                constraints=dg.TableColumnConstraints(
                    nullable=bool(column.nullable),
                    unique=column.primary_key and len(table.primary_key.columns) == 1,
                    other=["primary key"] if column.primary_key else None,
                ),
            )
            for column in table.columns
        ]
    )
