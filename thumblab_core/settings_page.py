"""Write docs/settings.md, the page of all settings, from `Settings`. Run `python -m thumblab_core.settings_page`."""

from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from thumblab_core.keys.secret_files import secret_file_variables
from thumblab_core.settings import CHECKOUT, Settings, variable

PAGE = CHECKOUT / "docs" / "settings.md"

_INTRODUCTION = """\
# Settings

Every setting is an environment variable, or a line of the file `.env` in the checkout, in whichever folder a command
runs. A file `.env` in the folder that a command runs in is read too: its lines have priority over those of the
checkout, and a variable has priority over both. The servers of `thumblab up` read only the file of the checkout. A
relative path begins in the folder that the command runs in. A blank value unsets the settings whose default is "unset",
apart from `THUMBLAB_HISTORY_DAYS`. `thumblab` warns of a `THUMBLAB_*` variable that is not in this list.

A secret can also be in a file. Add `_FILE` to the name of the variable, and give the path: `THUMBLAB_API_KEY_FILE`,
{files}.

This page is generated: change `thumblab_core/settings.py` or `thumblab_core/setting_groups.py`, then run
`python -m thumblab_core.settings_page`.
"""


def page() -> str:
    """Return the Markdown text of the page."""
    groups = [base for base in Settings.__bases__ if issubclass(base, BaseSettings)]
    inherited = {name for group in groups for name in group.model_fields}
    own = {name: field for name, field in Settings.model_fields.items() if name not in inherited}
    sections = [_section("Folders, servers and the demo", own)]
    sections += [_section((group.__doc__ or group.__name__).rstrip("."), group.model_fields) for group in groups]
    files = sorted(secret_file_variables(Settings))
    named = ", ".join(f"`{name}`" for name in files if name != "THUMBLAB_API_KEY_FILE")
    return "\n".join([_INTRODUCTION.replace("{files}", named), *sections])


def _section(heading: str, fields: dict[str, FieldInfo]) -> str:
    rows = "".join(f"| {' | '.join(_cells(name, field))} |\n" for name, field in fields.items())
    return f"## {heading}\n\n| Variable | Default | Unit | Explanation |\n|---|---|---|---|\n{rows}"


def _cells(name: str, field: FieldInfo) -> Iterator[str]:
    yield f"`{variable(name)}`"
    yield _default(field)
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    yield str(unit or "")
    yield field.description or ""


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None or field.default is None:
        return "unset"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    if isinstance(field.default, int | float):
        return str(field.default)
    return f"`{field.default}`" if field.default else "blank"


def main(path: Path = PAGE) -> None:
    path.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
