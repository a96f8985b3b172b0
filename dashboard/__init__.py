"""Draws what has been recorded: questions (`data`), figures (`figures`), pages (`views`).

It reads published snapshots and nothing else: it never holds the database, and never imports the runner.
"""
