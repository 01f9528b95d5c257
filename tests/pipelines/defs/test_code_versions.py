"""Tests of the code version of an asset. The version changes if, and only if, the code of the asset's step changes.

The code of a step includes all code that the step can call.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thumblab_pipelines import code_versions
from thumblab_pipelines.code_versions import code_version

FILES = {
    "main": '''
"""The module of the step."""
from versioned import other
from versioned.deeper import FACTOR as BY
UNUSED = 1

class Worker:
    def work(self, value):
        return other.helper(value) * BY

def step(value):
    """Do it."""
    from versioned.late import late
    return late(Worker().work(value))
''',
    "other": "def helper(value):\n    return value + 1\n\ndef unused():\n    return 3\n",
    "deeper": "from versioned.deepest import FACTOR\n",
    "deepest": "FACTOR = 2\n",
    "late": "def late(value):\n    return value\n",
}


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """A function that writes a Python package, and returns the code version of the package's function `step`.

    The arguments are the name of a module, a text in this module, and a new text that replaces the text in the module.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(code_versions, "_PACKAGES", ("versioned",))
    (tmp_path / "versioned").mkdir()

    def forget() -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "versioned"]:
            del sys.modules[name]
        for cached in (code_versions._counts, code_versions._module, code_versions._is_module):
            cached.cache_clear()
        importlib.invalidate_caches()

    def make(module: str = "", old: str = "", new: str = "") -> str:
        for name, source in FILES.items():
            assert name != module or old in source
            path = tmp_path / "versioned" / f"{name}.py"
            path.write_text(source.replace(old, new) if name == module else source)
        forget()
        return code_version(importlib.import_module("versioned.main").step)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield make
    forget()


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("main", "late(Worker", "late(2 + Worker"),
        ("main", "* BY", "/ BY"),
        ("other", "value + 1", "value + 2"),
        ("deepest", "2", "3"),
        ("late", "return value", "return -value"),
    ],
    ids=["the step itself", "a method", "a function of a module", "a constant by way of a module", "a late import"],
)
def test_the_version_changes_with_code_that_the_step_reaches(
    version: Callable[..., str], module: str, old: str, new: str
) -> None:
    assert version() != version(module, old, new)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("main", "UNUSED = 1", "UNUSED = 2"),
        ("other", "return 3", "return 4"),
        ("main", '"""Do it."""', '"""Do it well."""'),
        ("main", "    def work", "    # A comment.\n\n    def work"),
    ],
    ids=["an unused constant", "an unused function", "a docstring", "a comment"],
)
def test_the_version_stays_if_only_other_code_changes(
    version: Callable[..., str], module: str, old: str, new: str
) -> None:
    assert version() == version(module, old, new)


def test_steps_with_different_code_have_different_versions_of_twelve_hex_digits(version: Callable[..., str]) -> None:
    first = version()
    other = code_version(importlib.import_module("versioned.late").late)
    assert first != other
    assert len(first) == len(other) == len(f"{int(first, 16):012x}") == 12
