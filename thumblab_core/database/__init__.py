"""Tables, migrations, engine and the embedded PostgreSQL server."""
