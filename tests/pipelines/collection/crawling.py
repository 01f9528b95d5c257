"""A crawl that a test runs in a separate process, in the same way as the Dagster asset `crawled_videos` runs a crawl."""

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
"""The modules whose import takes most of the time before the first call of a crawl to YouTube."""


def crawl_all(environment: dict[str, str], stderr_path: str, niches: list[str]) -> None:
    """Set the environment variables in `environment`, and crawl the niches one after the other.

    What the crawl writes to stderr is appended to the file `stderr_path`.
    """
    # If a shell runs the tests as a background job, their processes ignore SIGINT. With this handler, SIGINT interrupts
    # the crawl in every case.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    descriptor = os.open(stderr_path, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 2)
    os.environ.update(environment)
    from thumblab_pipelines.collection.crawl import crawl
    from thumblab_pipelines.lab import Lab

    lab = Lab.open()
    for niche in niches:
        crawled = crawl(lab, niche)
        assert crawled.stopped is None, crawled.stopped
