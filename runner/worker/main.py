"""What runs inside a case's own process.

`python -m assay.runner.worker.main`, a job on stdin, events as JSON lines on stdout.

A benchmark is interactive: after `ready`, every line on stdin is one block to time. Libraries that print cannot disturb
the events: file descriptor 1 is theirs no longer, it goes to stderr.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
from typing import Any, TextIO

from assay.runner.errors import AssayError, UsageError
from assay.runner.worker.events.event import Event
from assay.runner.worker.events.facts import Done, JobFailed
from assay.runner.worker.events.wire import encode
from assay.runner.worker.job import decode
from assay.runner.worker.jobs.session import plain


class Pipe:
    """The way out: one event a line."""

    def __init__(self) -> None:
        self._stream: TextIO = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def emit(self, event: Event) -> None:
        self._stream.write(encode(event) + "\n")
        self._stream.flush()


_PR_SET_PDEATHSIG = 1


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when its parent is gone, however that was killed.

    The parent's number is handed over: in a container it may be 1, which elsewhere is who takes in orphans.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before we asked
        sys.exit(1)


def main(parent: int) -> None:
    """Do one job: read it, run its operation, report; an error is an event, never an exit code."""
    _die_with_parent(parent)
    events = Pipe()
    try:
        job = decode(sys.stdin.readline())
        _operation(job.op).run(job, events)
        events.emit(Done())
    except MemoryError as error:
        events.emit(JobFailed(type="MemoryError", message=f"out of memory: {error}", status="crashed"))
    except AssayError as error:
        events.emit(JobFailed(type=type(error).__name__, message=plain(error), status="failed"))
    except Exception as error:  # noqa: BLE001  a case's failure is a row, whatever it was
        import traceback

        traceback.print_exc()
        events.emit(JobFailed(type=type(error).__name__, message=plain(error), status="failed"))


def _operation(name: str) -> Any:
    """The module of `assay.runner.worker.jobs` that does an operation, imported when it is asked for."""
    module = f"assay.runner.worker.jobs.{name}"
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        found = None
    if not hasattr(found, "run"):
        raise UsageError(f"a worker has no operation {name!r}: it would be {module}, with run(job, events).")
    return found
