"""Runners of exported graphs behind one protocol, and how one is chosen."""
