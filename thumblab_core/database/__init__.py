"""The lab's database: its URL, engine, tables and migrations."""
