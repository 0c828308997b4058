"""Topics that people and planners see."""
