"""An MCP server (Model Context Protocol), through which an AI assistant uses the scoring service. The server needs the
package mcp.
"""
