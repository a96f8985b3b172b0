"""Which nodes are better left in float."""
