"""Test that the links in the repository's documents lead to existing files and headings."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import DOCUMENTS, ROOT, headings, links


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(path: Path) -> None:
    broken = []
    for _, _, target in links(path):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if not place.exists():
            broken.append(f"{target}: there is no such file")
        elif anchor and anchor not in headings(place):
            broken.append(f"{target}: {place.name} has no such heading")
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_picture_has_an_alternative_text(path: Path) -> None:
    assert [target for mark, text, target in links(path) if mark and not text.strip()] == []


@pytest.mark.heavy
def test_the_book_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    loads = re.compile(r"""<(?:link|script|img|iframe)\b[^>]*?(?:href|src)=["']?(?:https?:)?//[^>]*>""")
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 40
    assert {found for page in pages for found in loads.findall(page.read_text(encoding="utf-8"))} == set()
    shutil.rmtree(tmp_path / "site")
