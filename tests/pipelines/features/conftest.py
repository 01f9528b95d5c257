from collections.abc import Callable
from typing import Any

import pytest
from bench import NICHE, Bench
from catalogues import collected_beside

from demo.catalogues.synthetic import SyntheticCatalogue
from thumblab_pipelines.lab import Lab


@pytest.fixture
def bench(
    open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue, small: Any, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    lab = collected_beside(small.lab, open_lab, catalogue, NICHE)
    return Bench(lab, monkeypatch)
