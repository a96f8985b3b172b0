"""Errors for people, and the exit codes that scripts read.

AssayError (exit 2)
├── UsageError          2  a flag, a suite file or a name is wrong; nothing ran
├── EnvironmentMissing  3  a backend, device or database that this run needs is not there
└── NothingMeasured     4  the command ended without one comparison or measurement
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    """Something ran, and a verdict failed or a case broke."""
    USAGE = 2
    """A flag, a suite file or a name is wrong; nothing ran."""
    ENVIRONMENT = 3
    """A backend, device or database that this run needs is not there."""
    NOTHING = 4
    """Nothing was measured: every case was vacuous, skipped or left out."""
    INTERRUPTED = 130


class AssayError(Exception):
    exit_code = ExitCode.USAGE


class UsageError(AssayError):
    exit_code = ExitCode.USAGE


class EnvironmentMissing(AssayError):
    exit_code = ExitCode.ENVIRONMENT


class NothingMeasured(AssayError):
    exit_code = ExitCode.NOTHING


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?`, or the list of what there is, to end an error about an unknown name."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" There is: {', '.join(options)}." if options else " There is none yet."
