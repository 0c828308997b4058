# SPDX-License-Identifier: Apache-2.0
"""Runners of exported graphs behind one protocol, and how one is chosen."""
