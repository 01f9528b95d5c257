"""Find the pictures that were compared on one video, and select the pictures that have no vector yet.

Pictures are compared on one video in two cases. In an experiment, YouTube shows two or three variants to different
viewers. After a change of the thumbnail, all viewers see another picture than before.
"""

from sqlalchemy import text

from thumblab_core.database.vectors import EARLIER
from thumblab_pipelines.features.encoding import PICTURE
from thumblab_pipelines.features.encoding_work import Source
from thumblab_pipelines.features.stored_vectors import stored_vectors_query
from thumblab_pipelines.lab import Lab

_CHANGED = """
SELECT n.video_id, n.sha256, n.title FROM thumbnail_versions n JOIN videos v ON v.video_id = n.video_id
WHERE {where} AND EXISTS (SELECT 1 FROM thumbnail_versions o WHERE o.video_id = n.video_id AND o.sha256 <> n.sha256)
"""


def variants_query(where: str = "true") -> str:
    """Return an SQL query for the variants that have a picture. Only experiments on videos of the lab are included.

    `where`: a condition on the videos `v` or on the experiments `e`. A variant without a title gets the title that the
    video showed on the first day of the experiment. If the lab does not know this title, the variant gets the video's
    present title.
    """
    return f"""
        SELECT e.experiment_id, e.channel_id, e.video_id, e.started_on, e.outcome, e.winner,
               x.position, x.sha256, x.watch_time_share, x.impressions,
               coalesce(x.title, (SELECT n.title FROM thumbnail_versions n
                                  WHERE n.video_id = e.video_id AND n.first_seen < e.started_on + 1
                                  ORDER BY n.first_seen DESC LIMIT 1), v.title) AS title
        FROM experiments e
        JOIN videos v ON v.video_id = e.video_id AND v.channel_id = e.channel_id
        JOIN experiment_variants x ON x.experiment_id = e.experiment_id
        WHERE x.sha256 IS NOT NULL AND {where}
    """  # noqa: S608  (conditions come from this project's code)


def compared_without_vector(lab: Lab, what: str, encoder: str, niche: str) -> list[Source]:
    """Return the compared pictures or titles of a niche that have no vector from this encoder yet.

    `what`: `PICTURE` or `TITLE` of `encoding`. `encoder`: the fingerprint of the encoder. A picture or title is left
    out if the encoder returned no valid vector for it in an earlier run. First encode the pictures and titles that
    videos show now, then call this function. Save the vectors of the returned pictures or titles in the table
    `EARLIER`.
    """
    of_niche = "v.niche = :niche"
    in_niche = "video_id IN (SELECT video_id FROM videos WHERE niche = :niche)"
    column = "sha256" if what == PICTURE else "encode(sha256(convert_to(title, 'UTF8')), 'hex')"
    statement = text(f"""
        WITH compared AS ({_CHANGED.format(where=of_niche)}
                          UNION SELECT video_id, sha256, title FROM ({variants_query(of_niche)}) variants),
        tried AS (SELECT video_id, source_digest FROM ({stored_vectors_query(f"encoder = :encoder AND {in_niche}")}) s
                  UNION ALL
                  SELECT video_id, source_digest FROM encoding_failures WHERE encoder = :encoder AND {in_niche})
        SELECT c.video_id, c.digest, min(c.title) AS title
        FROM (SELECT video_id, title, {column} AS digest FROM compared) c
        WHERE NOT EXISTS (SELECT 1 FROM tried e WHERE e.video_id = c.video_id AND e.source_digest = c.digest)
        GROUP BY c.video_id, c.digest ORDER BY c.video_id, c.digest
    """)  # noqa: S608  (columns and conditions come from this project's code)
    with lab.engine.connect() as connection:
        rows = connection.execute(statement, {"niche": niche, "encoder": encoder}).all()
    return [Source(row.video_id, row.digest, row.title, EARLIER) for row in rows]
