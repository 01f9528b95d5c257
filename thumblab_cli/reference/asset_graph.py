"""Draw docs/images/assets.svg, the graph of the assets and of the scoring service, from Dagster's definitions.

The graph is drawn from top to bottom. The row of an asset is the number of arrows on the longest path from an asset
without parents to this asset. If a longer path joins two assets, the direct arrow between them is left out.
"""

from collections.abc import Mapping
from html import escape

from thumblab_pipelines.definitions import defs

_SERVICE = "scoring service"
_READ_BY_SERVICE = ("served_index", "served_model")
_WRITTEN_BY_SERVICE = "kept_predictions"

_COLOURS = {
    "library": "#cdeae6",
    "collection": "#fde7c4",
    "upkeep": "#fde7c4",
    "ranking": "#d9dcf7",
    "predictions": "#f6d5e2",
    "people": "#e3e8c8",
    "reports": "#d5e5f5",
    "maps": "#f3e2d0",
    _SERVICE: "#2b6f68",
}
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 130, 32, 12, 28, 12

Graph = Mapping[str, frozenset[str]]
"""Maps the name of each node to the names of the nodes from which this node is made."""


def svg() -> str:
    graph = defs().get_repository_def().asset_graph
    nodes = {key.to_user_string(): graph.get(key) for key in sorted(graph.get_all_asset_keys())}
    groups = {name: str(node.group_name) for name, node in nodes.items()} | {_SERVICE: _SERVICE}
    parents = {name: frozenset(key.to_user_string() for key in node.parent_keys) for name, node in nodes.items()}
    parents |= {_SERVICE: frozenset(_READ_BY_SERVICE)}
    parents[_WRITTEN_BY_SERVICE] = frozenset({_SERVICE})
    return drawn(parents, groups)


def drawn(parents: Graph, groups: Mapping[str, str]) -> str:
    """Return the graph as SVG. `groups` has the group of each node, which decides the colour of its box."""
    places = _places(parents)
    shown = _without_implied(parents)
    width = max(x for x, _ in places.values()) + _WIDTH + _MARGIN
    height = max(y for _, y in places.values()) + _HEIGHT + _MARGIN
    arrows = [_arrow(places[parent], places[name]) for name in sorted(shown) for parent in sorted(shown[name])]
    boxes = [_box(name, places[name], groups[name]) for name in sorted(places)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="13">',
            "<title>The assets of the lab, and where the scoring service reads</title>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#66757f"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="8" fill="#fff"/>',
            *arrows,
            *boxes,
            "</svg>\n",
        ]
    )


def _rows(parents: Graph) -> list[list[str]]:
    """Return the names of the nodes in each row. The row of a node is the number of arrows on the longest path from a
    node without parents to this node.
    """
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = max((depth(parent) + 1 for parent in parents[name]), default=0)
        return depths[name]

    last = max(map(depth, parents))
    return [[name for name in parents if depths[name] == row] for row in range(last + 1)]


def _places(parents: Graph) -> dict[str, tuple[int, int]]:
    """Return the upper left corner of each box. The box of an asset is centred below the boxes of its parents, the
    assets from which it is made.
    """
    shown = _without_implied(parents)
    step = _WIDTH + _GAP_X
    lefts: dict[str, float] = {}
    tops: dict[str, int] = {}
    for row, names in enumerate(_rows(parents)):
        wanted = {name: _mean([lefts[parent] for parent in shown[name]], step * at) for at, name in enumerate(names)}
        free = float("-inf")
        for name in sorted(names, key=lambda name: wanted[name]):
            lefts[name] = max(wanted[name], free)
            free = lefts[name] + step
        shift = _mean([lefts[name] - wanted[name] for name in names], 0)
        for name in names:
            lefts[name] -= shift
            tops[name] = _MARGIN + row * (_HEIGHT + _GAP_Y)
    first = min(lefts.values())
    return {name: (round(left - first) + _MARGIN, tops[name]) for name, left in lefts.items()}


def _mean(numbers: list[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _without_implied(parents: Graph) -> dict[str, frozenset[str]]:
    """Leave superfluous arrows out of the graph. An arrow is superfluous if a longer path joins the same two nodes."""

    def above(name: str) -> frozenset[str]:
        return parents[name].union(*map(above, parents[name]))

    return {name: given - frozenset().union(*map(above, given)) for name, given in parents.items()}


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + _WIDTH // 2, start[1] + _HEIGHT
    x2, y2 = end[0] + _WIDTH // 2, end[1]
    bend = (y2 - y1) // 2
    path = f"M{x1} {y1}C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2}"
    return f'<path d="{path}" fill="none" stroke="#66757f" stroke-width="1.3" marker-end="url(#head)"/>'


def _box(name: str, place: tuple[int, int], group: str) -> str:
    x, y = place
    ink = "#fff" if group == _SERVICE else "#1c2b33"
    middle = f'x="{x + _WIDTH // 2}" y="{y + _HEIGHT // 2 + 5}"'
    return (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{_COLOURS[group]}" stroke="#66757f"/>'
        f'<text {middle} text-anchor="middle" fill="{ink}">{escape(name)}</text>'
    )
