"""A run, from a suite to rows. Read `execute.py` first: it is the whole story."""
