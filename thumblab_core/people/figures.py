"""Count faces and people, and compute the share of the thumbnails that show a person."""

from sqlalchemy import Connection, func, select, text

from thumblab_core.database.tables import forgotten_faces
from thumblab_core.people.pictures import SHOWN, Scope, scope_parameters
from thumblab_core.people.reading import MOST_LISTED, PEOPLE, list_clusters
from thumblab_core.people.records import PeopleStatistics, PersonShare

_CURRENT = """
SELECT t.video_id, t.sha256 FROM thumbnails t JOIN videos v USING (video_id) JOIN face_pictures p USING (sha256)
WHERE p.problem IS NULL
  AND (CAST(:niche AS text) IS NULL OR v.niche = :niche)
  AND (CAST(:channels AS text[]) IS NULL OR v.channel_id = ANY(:channels))
"""
_COUNTS = text(f"""
WITH shown AS ({SHOWN}),
searched AS (SELECT p.* FROM face_pictures p JOIN shown USING (sha256)),
seen AS (
  SELECT f.face_id, a.cluster_key, COALESCE(a.pinned, false) AS pinned, c.name,
    EXISTS (SELECT FROM face_embeddings e WHERE e.face_id = f.face_id AND e.vector IS NOT NULL) AS embedded
  FROM faces f JOIN searched USING (sha256) LEFT JOIN face_assignments a USING (face_id)
  LEFT JOIN face_clusters c USING (cluster_key)
)
SELECT
  (SELECT count(*) FROM searched) AS pictures,
  (SELECT count(*) FROM searched WHERE face_count > 0) AS pictures_with_faces,
  (SELECT count(*) FROM searched WHERE problem IS NOT NULL) AS pictures_with_problem,
  count(*) AS faces,
  count(*) FILTER (WHERE NOT embedded) AS faces_without_vector,
  count(*) FILTER (WHERE name IS NOT NULL) AS faces_in_people,
  count(*) FILTER (WHERE cluster_key IS NOT NULL AND name IS NULL) AS faces_in_unknown_clusters,
  count(*) FILTER (WHERE cluster_key IS NULL) AS faces_in_none,
  count(*) FILTER (WHERE pinned) AS pinned,
  count(DISTINCT cluster_key) FILTER (WHERE name IS NOT NULL) AS people,
  count(DISTINCT cluster_key) FILTER (WHERE name IS NULL) AS unknown_clusters
FROM seen
""")  # noqa: S608  (a statement of this package)
_SHARES = text(f"""
WITH searched AS ({_CURRENT})
SELECT a.cluster_key, count(*) AS thumbnails
FROM searched JOIN face_assignments a USING (sha256) JOIN face_clusters c USING (cluster_key)
WHERE c.name IS NOT NULL GROUP BY a.cluster_key
""")  # noqa: S608
_SEARCHED = text(f"SELECT count(*) FROM ({_CURRENT}) searched")  # noqa: S608


def people_statistics(connection: Connection, scope: Scope | None = None) -> PeopleStatistics:
    """Return the figures of the whole lab, or only of the niche and the channels in `scope`.

    `shares` has the people with the most faces, at most `MOST_LISTED` people. A share is a fraction of the current
    thumbnails that were searched for faces.
    """
    parameters = scope_parameters(scope or Scope())
    counts = connection.execute(_COUNTS, parameters).one()._asdict()
    searched = int(connection.scalar(_SEARCHED, parameters) or 0)
    seen = {row.cluster_key: row.thumbnails for row in connection.execute(_SHARES, parameters)}
    people = list_clusters(connection, MOST_LISTED, 0, PEOPLE).clusters
    shares = tuple(
        PersonShare(person, number, searched, number / searched if searched else None)
        for person in people
        for number in [seen.get(person.key, 0)]
    )
    forgotten = int(connection.scalar(select(func.count()).select_from(forgotten_faces)) or 0)
    return PeopleStatistics(**counts, forgotten=forgotten, shares=shares)
