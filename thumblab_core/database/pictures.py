"""Tell which pictures of the image store the database names."""

from sqlalchemy import Connection, select

from thumblab_core.database.tables import experiment_variants, people_pictures, thumbnail_versions, thumbnails


def named_pictures(connection: Connection) -> set[str]:
    """Return the SHA-256 of every picture that a thumbnail, a thumbnail version or an experiment names.

    The result includes the pictures in which a person asked the lab to find people.
    """
    columns = thumbnails.c.sha256, thumbnail_versions.c.sha256, experiment_variants.c.sha256, people_pictures.c.sha256
    return {sha256 for column in columns for sha256 in connection.scalars(select(column).where(column.is_not(None)))}
