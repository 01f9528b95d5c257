"""Delete the centroids of a cluster when its faces change."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# A centroid is a mean of the vectors of a cluster's faces. The mean is out of date when a face enters or leaves the
# cluster. Many operations move faces, and foreign keys delete faces. So a trigger of the database deletes the centroids
# after every change. The next grouping makes the centroids again.
#
# The trigger's function always uses the search path of the migration, as in migration 0010.
_FUNCTION = """
CREATE FUNCTION drop_stale_centroids() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    DELETE FROM face_centroids WHERE cluster_key IN (SELECT cluster_key FROM after_change);
  ELSIF TG_OP = 'DELETE' THEN
    DELETE FROM face_centroids WHERE cluster_key IN (SELECT cluster_key FROM before_change);
  ELSE
    DELETE FROM face_centroids WHERE cluster_key IN (
      SELECT unnest(ARRAY[b.cluster_key, a.cluster_key]) FROM before_change b JOIN after_change a USING (face_id)
      WHERE b.cluster_key <> a.cluster_key
    );
  END IF;
  RETURN NULL;
END $$
"""
_TABLES = {
    "INSERT": "NEW TABLE AS after_change",
    "DELETE": "OLD TABLE AS before_change",
    "UPDATE": "OLD TABLE AS before_change NEW TABLE AS after_change",
}


def upgrade() -> None:
    # Centroids that were stored until now may contain vectors of faces that have left their cluster or were forgotten.
    op.execute("DELETE FROM face_centroids")
    op.execute(_FUNCTION)
    for event, tables in _TABLES.items():
        op.execute(
            f"CREATE TRIGGER drop_stale_centroids_on_{event.lower()} AFTER {event} ON face_assignments "
            f"REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION drop_stale_centroids()"
        )


def downgrade() -> None:
    for event in _TABLES:
        op.execute(f"DROP TRIGGER drop_stale_centroids_on_{event.lower()} ON face_assignments")
    op.execute("DROP FUNCTION drop_stale_centroids()")
