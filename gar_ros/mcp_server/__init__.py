# SPDX-License-Identifier: Apache-2.0
"""An MCP server over stdio: the tools by which an LLM agent asks a running `gar` node. Only `gar mcp` imports it."""
