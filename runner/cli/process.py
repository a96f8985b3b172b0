"""The process of a command: what ends it, and what it says when Assay itself is at fault."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import traceback
from types import FrameType

from assay.runner.environment import command_line, tool_version
from assay.runner.errors import ENDS_WITH, Interrupted

_PR_SET_PDEATHSIG = 1


def end_as_asked() -> None:
    """Ctrl-C, SIGTERM and SIGHUP end a command alike: workers are stopped, what is finished is recorded.

    A signal that is ignored (`nohup`) stays so. A run that a night started ends when the night does, however it was
    killed.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _interrupt)
    if parent := os.environ.pop(ENDS_WITH, ""):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if str(os.getppid()) != parent:  # it was gone before we asked
            sys.exit(1)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise Interrupted


def fault(error: BaseException) -> str:
    """One sentence for an error that nobody foresaw; its traceback goes to a file."""
    kind = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}".rstrip(": ")
    try:
        with tempfile.NamedTemporaryFile("w", prefix="assay-fault-", suffix=".txt", delete=False) as file:
            file.write(f"assay {tool_version()}\n{command_line()}\n\n{''.join(traceback.format_exception(error))}")
    except OSError:
        traceback.print_exception(error)
        return f"a fault of Assay ({kind}). It says nothing about any model. The traceback is above."
    return f"a fault of Assay ({kind}). It says nothing about any model. The traceback is in {file.name}."


def fault_of_machine(error: BaseException) -> str | None:
    """One sentence for what a disk, a device or too little memory did; None of everything else."""
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}. What was recorded is safe."
    if isinstance(error, OSError) and error.errno is not None:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}. What was recorded is safe."
    duckdb = sys.modules.get("duckdb")  # loaded only by commands that read the books
    if duckdb is not None and isinstance(error, duckdb.Error):
        from assay.schema.store.faults import is_of_machine

        if is_of_machine(error):
            first = str(error).splitlines()[0]
            if "No space left" in first:
                return f"no space left: {first} What was recorded is safe."
            return (
                f"the books cannot be read: {first} Publish them anew: assay db sync; or make them anew from their log:"
                " assay db sync --rebuild"
            )
    return None
