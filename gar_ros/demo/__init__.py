"""A simulated tabletop camera, a planner that asks, and the command that starts both with the node."""
