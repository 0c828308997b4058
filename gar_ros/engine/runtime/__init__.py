"""Runners of exported graphs behind one protocol."""
