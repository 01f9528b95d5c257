"""Build the index release of a niche from its reference library, and judge and promote it."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import text

from thumblab_core.encoders.load import image_encoder, image_encoder_name
from thumblab_core.encoders.protocol import unit
from thumblab_core.errors import LabError
from thumblab_core.index import Item, NicheIndex
from thumblab_core.releases import INDEX, Release
from thumblab_core.score_distribution import ScoreDistribution
from thumblab_core.sub_scores import NAMES
from thumblab_pipelines.steps.features import meter_version
from thumblab_pipelines.steps.lab import Lab, inputs_digest
from thumblab_pipelines.steps.verdict import Verdict

_SAMPLE = 100
_LEAST_SHARE = 0.5
"""A library that lost more than half of what is served is a failed collection until a person says otherwise."""

_LIBRARY = """
SELECT video_id, title, channel_title, thumbnail_url, views_per_hour, outlier_multiple, embedding::text AS embedding
FROM ref_thumbnails
WHERE niche = :niche AND encoder = :encoder
  AND collected_at > (SELECT max(collected_at) FROM ref_thumbnails WHERE niche = :niche) - make_interval(days => :days)
ORDER BY video_id
"""

_SCORES = """
SELECT f.* FROM visual_features f JOIN thumbnails t ON t.video_id = f.video_id AND t.sha256 = f.sha256
WHERE f.video_id = ANY(:ids) AND f.version = :version
ORDER BY f.video_id
"""
"""Of the pictures that are there now, by the formulas of now."""


@dataclass(frozen=True)
class Built:
    """The release, and whether it was there already because nothing had changed."""

    release: Release
    reused: bool


def build_index(lab: Lab, niche: str, run_id: str | None = None) -> Built:
    """Publish an index release of the niche's library, unless one of the same content is there.

    Raises `LabError` when the library is empty.
    """
    encoder = image_encoder(lab.settings).fingerprint
    parameters = {"niche": niche, "encoder": encoder, "days": lab.settings.library_days}
    with lab.engine.connect() as connection:
        rows = connection.execute(text(_LIBRARY), parameters).all()
    if not rows:
        raise LabError(
            f"the library of {niche} is empty; materialize raw_videos, thumbnails and embeddings of it first"
        )
    vectors = unit(np.stack([np.fromstring(row.embedding[1:-1], np.float32, sep=",") for row in rows]))
    items = [
        Item(
            row.video_id,
            row.title,
            row.channel_title,
            row.thumbnail_url,
            float(row.views_per_hour),
            None if row.outlier_multiple is None else float(row.outlier_multiple),
        )
        for row in rows
    ]
    scores = _scores(lab, [item.video_id for item in items])
    inputs = inputs_digest(encoder, [vars(item) for item in items], vars(scores), blobs=[vectors.tobytes()])
    release = lab.releases.unchanged(INDEX, niche, inputs)
    if release is not None:
        return Built(release, reused=True)
    index = NicheIndex.build(vectors, items, encoder, scores)
    info = {
        "inputs": inputs,
        "encoder": encoder,
        "encoder_name": image_encoder_name(lab.settings),
        "dimension": index.dimension,
        "count": len(index),
        "metric": "inner product of unit vectors (cosine)",
        "faiss": "Flat",
        "measured": scores.count,
    }
    return Built(lab.releases.publish(INDEX, niche, index.save, info, run_id), reused=False)


def _scores(lab: Lab, video_ids: list[str]) -> ScoreDistribution:
    """How these videos are spread over the sub-scores; of one that nobody measured yet, not at all."""
    version = meter_version(lab)
    with lab.engine.connect() as connection:
        rows = connection.execute(text(_SCORES), {"ids": video_ids, "version": version}).mappings().all()
    values = {name: [row[name] for row in rows if row[name] is not None] for name in NAMES}
    return ScoreDistribution.of(version, len(rows), values)


def judge_index(lab: Lab, release: Release) -> list[Verdict]:
    """What a person would look at before serving an index. Loads and verifies the release."""
    expected = image_encoder(lab.settings).fingerprint
    served = lab.releases.current(INDEX, release.scope)
    before = int(served.info["count"]) if served is not None else 0
    try:
        index = NicheIndex.load(release)
    except LabError as error:
        return [Verdict("intact", False, str(error))]
    vectors = index.vectors()
    rows = np.random.default_rng(0).permutation(len(index))[:_SAMPLE]
    lost = [index.items[row].video_id for row in rows if index.search(vectors[row], 1)[0].similarity < 0.999]
    same_encoder = index.encoder == expected
    # Another encoder is another library: its size says nothing of this one's.
    comparable = served is not None and served.info["encoder"] == index.encoder
    shrunk = comparable and len(index) < before * _LEAST_SHARE
    return [
        Verdict("intact", True, f"{len(release.files)} files match their checksums; {len(index)} vectors"),
        Verdict("encoder", same_encoder, f"made with {index.encoder}, the settings say {expected}"),
        Verdict(
            "finds_itself", not lost, f"{len(rows) - len(lost)} of {len(rows)} sampled videos are their own nearest"
        ),
        Verdict("size", not shrunk, f"{len(index)} thumbnails; {before} are served now"),
    ]


def promote_index(lab: Lab, niche: str) -> Release:
    """Serve the newest index release of the niche, judged once more. Raises `LabError` when it does not pass."""
    release = lab.releases.latest(INDEX, niche)
    if release is None:
        raise LabError(f"{niche} has no index release; materialize faiss_index of it first")
    bad = [verdict for verdict in judge_index(lab, release) if not verdict.passed]
    if bad:
        raise LabError(f"{release} is not promoted: {'; '.join(v.explanation for v in bad)}")
    if lab.releases.current_id(INDEX, niche) != release.release_id:
        lab.releases.promote(release)
    lab.releases.prune(INDEX, niche, lab.settings.releases_kept)
    return release


def judge_served_index(lab: Lab, expected: Release) -> list[Verdict]:
    """Does the pointer name the release that was promoted?"""
    found = lab.releases.current_id(INDEX, expected.scope)
    return [Verdict("pointer", found == expected.release_id, f"{expected.scope} serves {found}")]
