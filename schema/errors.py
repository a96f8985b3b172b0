"""What can go wrong with the books and with what is read, and the exit codes that scripts read.

AssayError (exit 2)
└── UsageError       a flag, a suite file or a name is wrong; nothing ran
    └── BadDocument  a file or a text that was read is not what it has to be

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
from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    """Everything ran, and every verdict is a pass or waived."""
    FAILED = 1
    """Something ran, and a verdict failed or a case broke."""
    USAGE = 2
    """A flag, a suite file or a name is wrong; nothing ran."""
    ENVIRONMENT = 3
    """A backend, device or database that this run needs is not there."""
    NOTHING = 4
    """Nothing was measured: every case was vacuous, skipped or left out."""
    FAULT = 70
    """A fault of Assay itself, and no word about any model. The traceback is in the file that is named."""
    INTERRUPTED = 130
    """Interrupted; what was finished is recorded."""


class AssayError(Exception):
    exit_code = ExitCode.USAGE


class UsageError(AssayError):
    exit_code = ExitCode.USAGE


class BadDocument(UsageError, ValueError):
    """The one error of everything that is parsed: what is wrong, where, what was meant, what to do."""


_TOLD = 100
"""Names that an error lists."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?`, or the list of what there is, to end an error about an unknown name."""
    options = sorted(known)
    close = difflib.get_close_matches(name[:200], options[:10_000], n=1, cutoff=0.6)
    if close:
        return f" Did you mean {close[0]!r}?"
    more = f" and {len(options) - _TOLD} more" if len(options) > _TOLD else ""
    return f" There is: {', '.join(options[:_TOLD])}{more}." if options else " There is none yet."


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
