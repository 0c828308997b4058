# SPDX-License-Identifier: Apache-2.0
"""A simulated tabletop camera, a planner that asks, and the command that starts both with the node."""
