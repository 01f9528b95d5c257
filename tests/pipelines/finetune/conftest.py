"""Fixtures for tests of fine-tuning."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Run PyTorch in one thread.

    The models of these tests have only two layers. Dividing the work between threads would not make the tests faster.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
