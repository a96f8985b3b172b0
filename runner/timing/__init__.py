"""How long it takes, and how sure that is."""
