"""Fixtures of the tests of the OpenAPI document: a service with all data that its routes may need."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from known_video import store_video

from thumblab_core.encoders.load import title_encoder


@pytest.fixture(scope="module")
def whole_service(
    lab_at: Any, run: Any, migrated_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A running service with a model, an index, a database and a host that may get webhooks, but without Dagster.

    The database has one video with a title vector, from which a niche can be proposed.
    The name of the host ends with `.invalid`, which no name server resolves, so no webhook leaves this machine.
    """
    database_url = migrated_database()
    lab = lab_at(
        tmp_path_factory.mktemp("whole"),
        database_url=database_url,
        serving_webhook_hosts="webhooks.invalid",
        serving_webhook_secret="a secret of the tests",
    )
    store_video(database_url, title_encoder(lab.settings.title_encoder).fingerprint)
    lab.promote(lab.index("tech"))
    lab.promote(lab.model(channels=("UCown",)))
    with run(lab.settings) as service:
        yield service
