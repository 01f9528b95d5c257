"""List the generated files, each with the function that returns its text."""

from thumblab_cli.reference import api_page, asset_graph, assets_page, cli_page, tables_page
from thumblab_core.settings import CHECKOUT

_FOLDER = CHECKOUT / "docs" / "reference"

PAGES = {
    _FOLDER / "cli.md": cli_page.page,
    _FOLDER / "api.md": api_page.page,
    _FOLDER / "assets.md": assets_page.page,
    _FOLDER / "tables.md": tables_page.page,
    CHECKOUT / "docs" / "images" / "assets.svg": asset_graph.svg,
}
"""Maps the path of each generated file to the function that returns its text."""
