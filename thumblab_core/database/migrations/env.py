"""Alembic's entry point: run the migrations over the connection that `migrate` passes."""

from alembic import context

from thumblab_core.database.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
