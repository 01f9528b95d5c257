"""What a process does that crawls, and nothing that a process without a test would not do."""

import os
import signal

IMPORTS = [
    "alembic.command",
    "googleapiclient.discovery",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "thumblab_core.database.schema",
    "thumblab_pipelines.collection.crawl",
    "thumblab_pipelines.lab",
]
"""What takes most of the time until the first call."""


def crawl_all(environment: dict[str, str], complaints: str, niches: list[str]) -> None:
    """Crawl the niches, one after the other, with the settings of the environment; stderr goes to the file."""
    # A shell starts background jobs with it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    descriptor = os.open(complaints, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 2)
    os.environ.update(environment)
    from thumblab_pipelines.collection.crawl import crawl
    from thumblab_pipelines.lab import Lab

    lab = Lab.open()
    for niche in niches:
        found = crawl(lab, niche)
        assert found.stopped is None, found.stopped
