"""Run the migrations over the connection that `migrate` passes. Alembic runs this file."""

from alembic import context

from thumblab_core.database.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
