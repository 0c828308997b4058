"""An exported model folder."""
