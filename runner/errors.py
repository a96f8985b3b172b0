"""Errors for people, and the exit codes that scripts read.

AssayError (exit 2)
├── UsageError          2  a flag, a suite file or a name is wrong; nothing ran
│   └── BadDocument     2  a file that was read is not what it has to be
├── EnvironmentMissing  3  a backend, device or database that this run needs is not there
└── NothingMeasured     4  the command ended without one comparison or measurement
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from assay.schema.errors import AssayError, BadDocument, ExitCode, UsageError, nearest

__all__ = [
    "AlreadyEnded",
    "AssayError",
    "BadDocument",
    "EnvironmentMissing",
    "ExitCode",
    "Interrupted",
    "NothingMeasured",
    "UsageError",
    "first_cause",
    "in_full",
    "nearest",
    "says_its_cause",
]


ENDS_WITH = "ASSAY_ENDS_WITH"
"""Variable with the process that a command ends with: a run that a night started does not outlive it."""


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


_LOOKUPS = (KeyError, AttributeError, StopIteration, IndexError)
"""What libraries catch and go on from: an error that merely came up meanwhile is not caused by one of these."""


def first_cause(error: BaseException) -> BaseException:
    """The error that began it: the first of the chain that Python keeps, and the error itself where it has none."""
    seen = [error]
    while (before := _before(seen[-1])) is not None and before not in seen:
        seen.append(before)
    return seen[-1]


def _before(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None:
        return error.__cause__
    meanwhile = error.__context__
    if error.__suppress_context__ or isinstance(meanwhile, _LOOKUPS):
        return None
    return meanwhile


def in_full(error: BaseException, most: int = 1200) -> str:
    """An error of somebody else's library: a line that says what began it and where, then its own words.

    The line has the type, the first line that says something, and the user's line that was reached last, if any.
    """
    cause = first_cause(error)
    line = f"{type(cause).__name__}: {_first_line(cause)}{_place(cause)}"
    own = str(error).strip()
    rest = own.partition("\n")[2].strip() if cause is error else f"{type(error).__name__}: {own}"
    return f"{line}\n{rest[:most]}".strip()


def says_its_cause(error: BaseException) -> bool:
    """Whether the first line of an error has what began it, so that nothing is to be put before it."""
    return _first_line(first_cause(error)) in _first_line(error)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "it says nothing more")


def _place(error: BaseException) -> str:
    """Where in the user's own code it was: the innermost line outside Assay, the libraries and Python itself."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_a_librarys(frame.filename)]
    return f" ({Path(own[-1].filename).name}:{own[-1].lineno}, in {own[-1].name})" if own else ""


def _is_a_librarys(filename: str) -> bool:
    installed = {"site-packages", "dist-packages"} & {*Path(filename).parts}
    return bool(installed) or filename.startswith(("<", *_library_places()))


def _library_places() -> Iterator[str]:
    paths = sysconfig.get_paths()
    yield from {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"]}
    yield from {str(Path(__file__).parent), str(Path(__file__).resolve().parent)}
