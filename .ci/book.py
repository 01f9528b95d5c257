"""A hook of MkDocs. The hook adds files that lie outside docs/ to the book, each as a page. Links to these files then
lead to the added pages.

On GitHub, a link in docs/ to `../CHANGELOG.md` leads to the file. In the book, the same link leads to the added page. A
file of code has no page in the book, so a link to such a file is replaced by its text.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]

ADDED = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "demo/README.md": "demo.md"}
"""The page of the book for each file that lies outside docs/."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    for source, page in ADDED.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    sources = {name: source for source, name in ADDED.items()}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return _LINK.sub(lambda link: _in_the_book(link, source, page.file.src_uri), markdown)


def _in_the_book(link: re.Match[str], source: str, page: str) -> str:
    """Return the link, changed for the book.

    `source` is the path in the repository of the file that contains the link. The book shows this file as the page with
    the path `page`.
    """
    mark, text, target = link.groups()
    path, hash_, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return link[0]
    place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if place == "README.md":
        place = "docs/index.md"
    place = ADDED.get(place, place.removeprefix("docs/"))
    if not (ROOT / "docs" / place).exists() and place not in ADDED.values() and (ROOT / place).exists():
        return text
    return f"{mark}[{text}]({posixpath.relpath(place, posixpath.dirname(page) or '.')}{hash_}{anchor})"
