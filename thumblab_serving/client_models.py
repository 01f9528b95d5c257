"""Write the client's dataclasses. They are generated from the pydantic models of the service's answers. Run this module
with `python -m thumblab_serving.client_models`.

The client needs neither pydantic nor this package, so it has its own classes. If a module of `thumblab_serving.schemas`
has models of answers, `thumblab_client.models` gets a module of the same name. The modules of `thumblab_core` that
define parts of answers get modules too.
"""

import importlib
import pkgutil
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import thumblab_serving.schemas
from thumblab_core.settings import CHECKOUT, Settings
from thumblab_serving.app import create_app

FOLDER = CHECKOUT / "thumblab_client" / "models"

_IN_LINES = ("ItemResult",)
"""Models of answers that are sent as lines of JSON. The OpenAPI document describes the body as a text, so it does not
refer to these models.
"""

_IN_CORE = (
    "thumblab_core.channel_imports.report",
    "thumblab_core.niche_report.niche_figures",
)
"""The modules that define the reports on an import and on a niche. The pipelines write them, so they are not among the
schemas.
"""

_PARTS = {
    "thumblab_core.library_map.atlases": "library_index",
    "thumblab_core.library_map.map_figures": "library_index",
    "thumblab_core.library_map.tiles": "library_index",
}
"""For each module that defines parts of answers, the client's module that gets the models of these parts."""

_REFERENCE = "#/components/schemas/"
_SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_FORMATS = {"date": "date", "date-time": "datetime"}
_WIDTH = 116

_HEAD = '''\
"""{title}

This file is generated: change `{module}`, then run
`python -m thumblab_serving.client_models`.
"""

'''


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of the service."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder), api_key="unused")
        return create_app(settings).openapi()


def modules(document: dict[str, Any]) -> dict[str, str]:
    """Map the name of each module of `thumblab_client.models` to the text of the module. The texts are not formatted
    yet.
    """
    schemas = document["components"]["schemas"]
    answers = _answers(document)
    home = {name: module for module, names in _homes().items() for name in names if name in answers}
    homeless = sorted(name for name in answers if name not in home and "enum" not in schemas[name])
    if homeless:
        raise ValueError(f"these models of answers are not in thumblab_serving.schemas: {', '.join(homeless)}")
    texts = {
        "__init__": '"""The answers of the service as dataclasses. They have the names of the schemas in OpenAPI."""\n'
    }
    for module in dict.fromkeys(home.values()):
        own = [name for name in home if home[name] == module]
        body = "\n\n".join(_class(name, schemas) for name in own)
        texts[module] = _module_head(module) + _imports(body, module, home) + "\n\n" + body
    return texts


def formatted(text: str) -> str:
    """Return Python code as `ruff format` writes it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(FOLDER / "answer.py"), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def main(folder: Path = FOLDER) -> None:
    texts = modules(openapi())
    for path in folder.glob("*.py"):
        if path.stem not in texts:
            path.unlink()
    for module, text in texts.items():
        (folder / f"{module}.py").write_text(formatted(text), encoding="utf-8")


def _modules() -> dict[str, str]:
    """For each module that may define models of answers, map the last part of its name to its full name."""
    schemas = thumblab_serving.schemas
    names = [info.name for info in pkgutil.walk_packages(schemas.__path__, f"{schemas.__name__}.") if not info.ispkg]
    return {name.rpartition(".")[2]: name for name in (*names, *_IN_CORE)}


def _homes() -> dict[str, list[str]]:
    """Return the names of the models that each of the modules defines."""
    homes: dict[str, list[str]] = {}
    for name, short in [*_PARTS.items(), *((name, short) for short, name in _modules().items())]:
        module = importlib.import_module(name)
        models = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, BaseModel)]
        homes.setdefault(short, []).extend(model.__name__ for model in models if model.__module__ == module.__name__)
    return homes


def _answers(document: dict[str, Any]) -> set[str]:
    """Return the names of all schemas that occur in the successful answers of any operation."""
    found: set[str] = set()
    waiting = list(_IN_LINES)
    waiting += [
        name
        for path in document["paths"].values()
        for operation in path.values()
        for status, answer in operation["responses"].items()
        if str(status).startswith("2")
        for name in _references(answer)
    ]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(document["components"]["schemas"][name])
    return found


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield str(value).removeprefix(_REFERENCE)
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _module_head(module: str) -> str:
    name = _modules()[module]
    lines = (sys.modules[name].__doc__ or "").strip().splitlines()
    return _HEAD.format(title=lines[0] if lines else "Answers of the service.", module=name.replace(".", "/") + ".py")


def _imports(body: str, module: str, home: dict[str, str]) -> str:
    words = set(re.findall(r"\w+", re.sub(r'""".*?"""', "", body, flags=re.DOTALL)))
    lines = [f"from dataclasses import {', '.join(name for name in ('dataclass', 'field') if name in words)}"]
    for source, names in (("datetime", ("date", "datetime")), ("typing", ("Any", "Literal"))):
        used = [name for name in names if name in words]
        lines += [f"from {source} import {', '.join(used)}"] if used else []
    own = []
    for other in sorted(set(home.values()) - {module}):
        imported = [name for name, place in home.items() if place == other and name in words]
        used = sorted(imported, key=str.lower)  # ruff sorts names without regard to upper and lower case.
        own += [f"from thumblab_client.models.{other} import {', '.join(used)}"] if used else []
    return "\n".join([*lines, "", *own])


def _class(name: str, schemas: dict[str, Any]) -> str:
    schema = schemas[name]
    lines = ["@dataclass(frozen=True, kw_only=True)", f"class {name}:"]
    lines += _docstring(schema.get("description", "An object of an answer."))
    lines.append("")
    for field, described in schema["properties"].items():
        default = "" if field in schema.get("required", ()) else _default(described)
        # A class that refers to itself must be written in quotes.
        annotation = re.sub(rf"\b{name}\b", f'"{name}"', _type(described, schemas))
        lines.append(f"    {field}: {annotation}{default}")
        explained = _docstring(described.get("description", ""))
        lines += [*explained, ""] if explained else []
    return "\n".join(lines) + "\n"


def _docstring(text: str) -> list[str]:
    paragraphs = [" ".join(part.split()) for part in text.replace("\\", "\\\\").replace('"""', "'''").split("\n\n")]
    if not paragraphs[0]:
        return []
    wrapped = ["\n".join(textwrap.wrap(part, _WIDTH - 4, break_on_hyphens=False)) for part in paragraphs]
    text = "\n\n".join(wrapped)
    long = "\n" in text or len(text) > _WIDTH - 10
    return textwrap.indent(f'"""{text}\n"""' if long else f'"""{text}"""', "    ").splitlines()


def _default(schema: dict[str, Any]) -> str:
    """Return the part of a field's definition that gives the default value. For a list or an object, the default is
    empty.
    """
    default = schema.get("default", {"array": [], "object": {}}.get(schema.get("type", "")))
    if isinstance(default, list | dict):
        if default:
            raise ValueError(f"the default value of a list or an object in an answer must be empty, but is: {default}")
        return f" = field(default_factory={type(default).__name__})"
    return f" = {default!r}"


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Return the type annotation in Python for a JSON schema."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        return _type(schemas[name], schemas) if "enum" in schemas[name] else name
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    if "enum" in schema:
        return f"Literal[{', '.join(map(repr, schema['enum']))}]"
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return " | ".join(dict.fromkeys(_type(part, schemas) for part in schema[union]))
    kind = schema.get("type")
    if kind == "array":
        return f"list[{_type(schema.get('items', {}), schemas)}]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {_type(values, schemas) if isinstance(values, dict) else 'Any'}]"
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), "str")
    return "Any" if kind is None else _SIMPLE[kind]


if __name__ == "__main__":
    main()
