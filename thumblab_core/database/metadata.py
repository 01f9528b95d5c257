"""Define the SQLAlchemy `MetaData` of all tables of the lab, and the type of columns that contain a moment."""

from sqlalchemy import DateTime, MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

MOMENT = DateTime(timezone=True)
"""The type of a column that contains a moment. Moments are stored in UTC."""
