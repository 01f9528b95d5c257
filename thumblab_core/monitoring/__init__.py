"""Keep the health of the pipelines in a file, so that every part of the lab can read it without a database."""
