"""Test that the generated pages in docs/reference agree with the code."""

from pathlib import Path

import pytest

from thumblab_cli.reference.pages import PAGES
from thumblab_cli.reference.tables_page import MEANINGS
from thumblab_core.database.tables import metadata
from thumblab_core.settings import CHECKOUT


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_page_is_current(path: Path) -> None:
    current = PAGES[path]()
    assert path.read_text(encoding="utf-8") == current, (
        "the page is out of date; run `python -m thumblab_cli.reference`"
    )


def test_a_table_is_explained_once() -> None:
    assert set(MEANINGS) == {name for name, table in metadata.tables.items() if not table.comment}


def test_every_page_is_in_the_navigation() -> None:
    navigation = (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    pages = [path.relative_to(CHECKOUT / "docs").as_posix() for path in (CHECKOUT / "docs").rglob("*.md")]
    assert [page for page in pages if page not in navigation] == [], (
        "a page is missing in the navigation; add it to `nav` in mkdocs.yml"
    )
