"""The `gar` command."""
