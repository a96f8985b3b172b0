"""Errors for people, and the exit codes that scripts read.

AssayError (exit 2)
├── UsageError          2  a flag, a suite file or a name is wrong; nothing ran
├── EnvironmentMissing  3  a backend, device or database that this run needs is not there
└── NothingMeasured     4  the command ended without one comparison or measurement
"""

from __future__ import annotations

from enum import IntEnum

from assay.schema.errors import nearest

__all__ = [
    "AlreadyEnded",
    "AssayError",
    "EnvironmentMissing",
    "ExitCode",
    "Interrupted",
    "NothingMeasured",
    "UsageError",
    "nearest",
]


ENDS_WITH = "ASSAY_ENDS_WITH"
"""Variable with the process that a command ends with: a run that a night started does not outlive it."""


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
    """A fault of Assay itself: not foreseen, and no word about any model. The traceback is in the file that is named."""
    INTERRUPTED = 130
    """Interrupted; what was finished is recorded."""


class AssayError(Exception):
    exit_code = ExitCode.USAGE


class UsageError(AssayError):
    exit_code = ExitCode.USAGE


class EnvironmentMissing(AssayError):
    exit_code = ExitCode.ENVIRONMENT


class NothingMeasured(AssayError):
    exit_code = ExitCode.NOTHING


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP. No KeyboardInterrupt: typer takes that for itself, and says nothing."""


class AlreadyEnded(Exception):
    """The run that was to be resumed had ended; the command ends as it did."""

    def __init__(self, run_id: str, exit_code: int) -> None:
        super().__init__(run_id)
        self.run_id = run_id
        self.exit_code = exit_code
