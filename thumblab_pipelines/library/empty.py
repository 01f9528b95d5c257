"""Explain why the library of a niche is empty, and say what to do.

A refresh has several steps. The explanation names the first step that has no result for this niche yet.
"""

from sqlalchemy import text

from thumblab_pipelines.lab import Lab

# This query counts, for each step of a refresh, the videos of the niche that have passed the step.
_STEPS = text("""
SELECT count(*) AS videos, count(t.sha256) AS pictures, count(e.video_id) AS vectors,
       count(*) FILTER (WHERE e.video_id IS NOT NULL AND x.video_id IS NULL) AS not_taken_out,
       count(*) FILTER (WHERE r.video_id IS NOT NULL AND x.video_id IS NULL) AS with_views
FROM videos v
LEFT JOIN thumbnails t ON t.video_id = v.video_id AND t.sha256 IS NOT NULL
LEFT JOIN embeddings e ON e.video_id = v.video_id AND e.encoder = :encoder AND e.source_digest = t.sha256
LEFT JOIN ref_thumbnails r ON r.video_id = v.video_id AND r.encoder = :encoder
LEFT JOIN library_exclusions x ON x.video_id = v.video_id
WHERE v.niche = :niche
""")


def why_empty(lab: Lab, niche: str, encoder: str) -> str:
    """Return a sentence that says why the library is empty. `encoder` is the fingerprint of the image encoder."""
    with lab.engine.connect() as connection:
        steps = connection.execute(_STEPS, {"niche": niche, "encoder": encoder}).one()
    empty = f"the library of {niche} is empty"
    if not steps.videos:
        return f"{empty}: the lab has no video of it; `thumblab import` a catalogue, or collect it with an API key"
    if not steps.pictures:
        return (
            f"{empty}: none of its {steps.videos} videos has a thumbnail; materialize thumbnails of it (`thumblab up`)"
        )
    if not steps.vectors:
        return (
            f"{empty}: none of its {steps.pictures} thumbnails is encoded with {encoder}; `thumblab refresh {niche}` "
            "encodes them and does the steps that follow"
        )
    if not steps.not_taken_out:
        return (
            f"{empty}: each of its {steps.vectors} encoded videos was taken out; `thumblab index upsert` puts one back"
        )
    if not steps.with_views:
        return f"{empty}: none of its {steps.vectors} encoded videos is an ordinary video with a count of views"
    return (
        f"{empty}: all of its {steps.with_views} videos were first collected or last observed more than "
        f"{lab.settings.library_days} days before the newest observation; collect it again (`thumblab up`)"
    )
