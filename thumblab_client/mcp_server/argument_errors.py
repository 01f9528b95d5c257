"""Say in plain words which arguments of a tool call are wrong. Without this module, the SDK of MCP would show the
messages of pydantic.
"""

from collections.abc import Mapping
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import ValidationError

_WORDS = {
    "missing": "is missing",
    "string_type": "is not a text",
    "string_too_short": "is empty",
    "list_type": "is not a list",
    "too_short": "has too few entries",
    "too_long": "has too many entries",
    "int_type": "is not a whole number",
    "int_parsing": "is not a whole number",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
}
"""The words that say what is wrong with an argument, for each type of pydantic's errors."""


class PlainServer(MCPServer):
    """An MCP server whose error about an argument contains the name and the description of the argument."""

    async def call_tool(self, name: str, arguments: dict[str, Any], *more: Any, **options: Any) -> Any:
        try:
            return await super().call_tool(name, arguments, *more, **options)
        except ToolError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            tools = {tool.name: tool.input_schema for tool in await self.list_tools()}
            raise ToolError(_sentences(name, error.__cause__, tools.get(name, {}))) from None


def _sentences(tool: str, error: ValidationError, schema: Mapping[str, Any]) -> str:
    """Return a sentence for each wrong argument of a call, without the values that were sent."""
    described = schema.get("properties", {})
    sentences = []
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join(map(str, one["loc"]))
        meaning = described.get(str(one["loc"][0]) if one["loc"] else "", {}).get("description", "")
        sentences.append(
            f"{tool}: {path} {_WORDS.get(one['type'], 'has another form than described')}. {meaning}".strip()
        )
    return " ".join(dict.fromkeys(sentences))
