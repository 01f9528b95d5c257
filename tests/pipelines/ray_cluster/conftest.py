"""Fixtures with a Ray cluster of two nodes on this machine."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from two_nodes import ray_nodes

from thumblab_pipelines.lab import Lab


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a Ray cluster that has two nodes with one core each."""
    with ray_nodes() as cluster:
        yield str(cluster.address)


@pytest.fixture
def copies(
    open_lab: Callable[..., Lab], copied_database: Callable[[str], str], small: Any
) -> Callable[[], Callable[..., Lab]]:
    """A function that copies the database of the lab `small`, and returns another function.

    The returned function opens the copy. Each keyword argument of this function replaces a setting of the lab.
    """

    def copy() -> Callable[..., Lab]:
        from pydantic import SecretStr

        small.lab.engine.dispose()
        url = SecretStr(copied_database(small.lab.engine.url.render_as_string(hide_password=False)))
        folder = small.lab.settings.data_dir
        return lambda **chosen: open_lab(data_dir=folder, database_url=url, **chosen)

    return copy
