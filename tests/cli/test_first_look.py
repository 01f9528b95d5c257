"""Test the page with the winners of a niche. The demo writes this page after the refresh of its first niche."""

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import update
from stored_library import clustered, fill

from thumblab_cli.demo.first_look import write_winners
from thumblab_core.database.tables import thumbnails
from thumblab_core.index import Item, NicheIndex
from thumblab_core.releases.release import INDEX


def serve(lab: Any, items: list[Item], niche: str = "tech") -> None:
    index = NicheIndex.build(clustered(len(items), 16), items, "builtin")
    lab.releases.serving.promote(lab.releases.publish(INDEX, niche, index.save, index.describe()))


def test_the_page_shows_winners_best_first_and_harmless(
    open_lab: Callable[..., Any], drawn: Callable[..., bytes]
) -> None:
    lab = open_lab()
    fill(lab.engine, clustered(40, 16), "builtin", niches=("tech",))
    sha256 = lab.images.put(drawn(1))
    with lab.engine.begin() as connection:
        connection.execute(update(thumbnails).values(sha256=sha256))
    hostile = '<script>alert(1)</script>" onload="x'
    items = [
        Item(f"v{n:06d}", hostile if n == 39 else f"Title {n}", f"Channel {n}", None, 50.0, n / 4) for n in range(40)
    ]
    serve(lab, items)
    page = lab.settings.data_dir / "winners.html"
    assert write_winners(lab, "tech", page) == 24
    text = page.read_text()
    assert [float(multiple) for multiple in re.findall(r"([\d.]+) times the channel", text)][:2] == [9.8, 9.5]
    assert "Title 7<" not in text, "a video with 1.75 times the usual views is not a winner"
    assert "<script>" not in text
    assert '" onload' not in text
    pictures = re.findall(r'<img src="([^"]+)"', text)
    assert {(page.parent / picture).read_bytes() for picture in pictures} == {drawn(1)}


def test_no_page_is_written_where_nothing_is_served_or_nothing_won(open_lab: Callable[..., Any]) -> None:
    lab = open_lab()
    page = lab.settings.data_dir / "winners.html"
    assert write_winners(lab, "tech", page) == 0
    serve(lab, [Item(f"v{n}", "Title", "Channel", None, 50.0, 1.0) for n in range(12)])
    assert write_winners(lab, "tech", page) == 0
    assert not page.exists()
