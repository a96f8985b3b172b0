"""What can go wrong with the books.

StoreError
├── UnknownRun       no run has this name, or more than one
├── StoreBusy        another process holds the database
├── StoreTooNew      the database was written by a newer version of Assay
├── StoreFull        the disk is full; what was recorded before is intact
├── StoreDamaged     the database file itself cannot be read
├── BadBundle        a bundle's bytes prove that it is none
└── UnreadableBundle a bundle cannot be read on this machine now; it stays where it is
"""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?`, or the list of what there is, to end an error about an unknown name."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" There is: {', '.join(options)}." if options else " There is none yet."


class StoreError(Exception):
    """A problem with the database or its spool, in words for the person who meets it."""


class UnknownRun(StoreError):
    pass


class StoreBusy(StoreError):
    pass


class StoreTooNew(StoreError):
    pass


class StoreFull(StoreError):
    pass


class StoreDamaged(StoreError):
    pass


class BadBundle(StoreError):
    pass


class UnreadableBundle(StoreError):
    pass


class BadTriage(StoreError):
    """A step in the life of an alert that cannot be taken: what was wrong, and what to do."""
