"""Write docs/reference/api.md from the OpenAPI document of the scoring service."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from thumblab_cli.reference.markdown import GENERATED, code, codes, table
from thumblab_core.settings import Settings
from thumblab_serving.app import create_app
from thumblab_serving.http.auth import needed_scope

_INTRODUCTION = f"""\
# HTTP API

The scoring service describes itself at `/openapi.json`. This page shows the same for people. A request carries its key as
`X-API-Key: KEY` or `Authorization: Bearer KEY`; `thumblab key` prints the lab's own key, which has all scopes
([keys](../keys.md)). Bodies and answers are JSON, unless a request says otherwise. [Limits of the scoring
service](../service.md) says what a request may cost.

{GENERATED}"""

_ERRORS = """\
## Errors

An answer with a status from 400 is a [`ProblemOut`](#problemout) of the type `application/problem+json`. Its `detail` says
what is wrong and what to do. 429 and 503 come with `Retry-After`, the seconds to wait.

"""

_SAME = "The same as "
_SCHEMAS = "#/components/schemas/"


def page() -> str:
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(_env_file=None, data_dir=Path(folder), api_key="unused"))
    return page_of(app)


def page_of(app: FastAPI) -> str:
    document = app.openapi()
    scopes = {
        (method.lower(), route.path_format): needed_scope(route.dependant)
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute)
        for method in route.methods or ()
    }
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            sections = groups.setdefault(operation["tags"][0], [])
            sections.append(_operation(method, path, operation, scopes[method, path]))
    parts = [_INTRODUCTION]
    for tag, sections in groups.items():
        parts += [f"## {tag.capitalize()}\n", *sections]
    parts.append(_ERRORS + table(("Status", "Meaning"), sorted(_error_rows(document["paths"]))))
    parts.append("## Objects\n\nThe JSON objects in the bodies of requests and answers, in alphabetical order.\n")
    parts += [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return "\n".join(parts)


def _operation(method: str, path: str, operation: Mapping[str, Any], scope: str | None) -> str:
    needs = "No key is needed." if scope is None else f"The key needs the scope {code(scope)}."
    head = f"### {method.upper()} {path}\n\n**{operation['summary']}.** {needs}\n"
    if operation["summary"].startswith(_SAME):
        return head
    parts = [head, operation.get("description", "") + "\n"]
    if operation.get("parameters"):
        rows = [_parameter(parameter) for parameter in operation["parameters"]]
        parts.append(table(("Parameter", "In", "Type", "Explanation"), rows))
    if "requestBody" in operation:
        parts.append(_body(operation["requestBody"]))
    parts.append(table(("Status", "Answer"), _answers(operation["responses"])))
    return "\n".join(parts)


def _parameter(parameter: Mapping[str, Any]) -> tuple[str, str, str, str]:
    needed = "" if parameter.get("required") else _default(parameter["schema"])
    explanation = parameter.get("description") or parameter["schema"].get("description", "")
    return code(parameter["name"]), parameter["in"], _type(parameter["schema"]), f"{explanation} {needed}"


def _body(body: Mapping[str, Any]) -> str:
    lines = []
    for media, content in body["content"].items():
        schema = content["schema"]
        if "properties" in schema:
            fields = table(("Field", "Type", "Explanation"), _fields(schema))
            lines.append(f"Body, as {code(media)}:\n\n{fields}")
        else:
            lines.append(f"Body, as {code(media)}: {_type(schema)}.\n")
    if body.get("description"):
        lines.append(f"{body['description']}\n")
    return "\n".join(lines)


def _answers(responses: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a table row for each status of an answer. All error statuses share the last row."""
    errors = []
    for status, response in sorted(responses.items()):
        contents = response.get("content", {})
        if "application/problem+json" in contents:
            errors.append(status)
            continue
        kinds = [f"{_type(content['schema'])} as {code(media)}" for media, content in contents.items()]
        said = "" if response["description"] == "Successful Response" else response["description"]
        yield status, " ".join((" or ".join(kinds) + "." if kinds else "No body.", said))
    if errors:
        yield ", ".join(errors), "See [errors](#errors)."


def _error_rows(paths: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {
        (status, response["description"])
        for operations in paths.values()
        for operation in operations.values()
        for status, response in operation["responses"].items()
        if "application/problem+json" in response.get("content", {})
    }


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    head = f"### {name}\n\n{schema.get('description', '')}\n"
    if "enum" in schema:
        return f"{head}\nOne of {codes(schema['enum'])}.\n"
    return f"{head}\n{table(('Field', 'Type', 'Explanation'), _fields(schema))}"


def _fields(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        default = "" if name in required else _default(field)
        yield code(name), _type(field), f"{field.get('description', '')} {default}"


def _default(schema: Mapping[str, Any]) -> str:
    value = schema.get("default")
    return "Optional." if value is None or value in ([], {}, "") else f"Default: {code(value)}."


def _type(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words, such as `integer, 1 to 100`.

    A type that has its own section on the page becomes a link.
    """
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_SCHEMAS)
        return f"[`{name}`](#{name.lower()})"
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " or ".join(dict.fromkeys(_type(kind) for kind in schema[choice]))
    if len(schema.get("allOf", ())) == 1:
        return _type(schema["allOf"][0])
    if "enum" in schema:
        return codes(schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}{_range(schema, 'minItems', 'maxItems', ' items')}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object, each value {_type(schema['additionalProperties'])}"
    if schema.get("contentMediaType") or schema.get("format") == "binary":
        return "file"
    if kind == "string":
        return f"{schema.get('format', 'text')}{_range(schema, 'minLength', 'maxLength', ' characters')}"
    return f"{kind}{_range(schema, 'minimum', 'maximum', '')}"


def _range(schema: Mapping[str, Any], low: str, high: str, unit: str) -> str:
    least, most = schema.get(low), schema.get(high)
    if least is not None and most is not None:
        return f", {least:,} to {most:,}{unit}"
    if most is not None:
        return f", at most {most:,}{unit}"
    return "" if not least else f", at least {least:,}{unit}"
