"""Training of gar-tiny."""
