"""An MCP server (Model Context Protocol) with which an assistant asks the scoring service. It needs the package mcp."""
