"""List the pictures that the database needs. The pictures are in the image store."""

from sqlalchemy import Connection, select

from thumblab_core.database.tables import experiment_variants, people_pictures, thumbnail_versions, thumbnails


def named_pictures(connection: Connection) -> set[str]:
    """Return the SHA-256 of every picture that a thumbnail, a thumbnail version or an experiment uses.

    The result includes the user's own pictures in which the lab looks for people.
    """
    columns = thumbnails.c.sha256, thumbnail_versions.c.sha256, experiment_variants.c.sha256, people_pictures.c.sha256
    return {sha256 for column in columns for sha256 in connection.scalars(select(column).where(column.is_not(None)))}
