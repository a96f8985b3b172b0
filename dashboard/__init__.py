"""Draws what has been recorded: questions, figures, pages.

`app` is the frame, `views` have a file a page, `parts` the sections of pages. `data` asks and caches; `figures` and
`tables` are pure: frames in, figures or frames out. It reads published snapshots and nothing else: it never holds the
database, and never imports the runner.
"""
