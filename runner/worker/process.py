"""A case's own process, seen from outside.

The parent blocks while it waits: a busy parent disturbs what it measures.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from assay.runner.worker.events.event import Event
from assay.runner.worker.events.facts import Done, JobFailed
from assay.runner.worker.events.wire import decode
from assay.runner.worker.job import Job, encode
from assay.schema.documents import pack

Said = TypeVar("Said", bound=Event)
_TAIL = 1500
_PACKAGE = Path(__file__).parents[2]
"""Where the worker finds `assay`, whatever its interpreter has installed."""
_BOOT = Path(__file__).with_name("boot.py")


class WorkerFailed(Exception):
    """The worker did not do its job: `status` is failed, crashed or timeout."""

    def __init__(self, status: str, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message


class Worker:
    """One worker process, from its job to its end; leaving the block kills whatever is left of it."""

    def __init__(self, job: Job, *, python: str | None, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        try:
            self._process = subprocess.Popen(
                [python or sys.executable, "-P", str(_BOOT), str(_PACKAGE), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerFailed(
                "failed", "EnvironmentMissing", f"cannot start {python or sys.executable}: {error.strerror}"
            ) from None
        self._selector = selectors.DefaultSelector()
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._buffer = b""
        self._write(encode(job))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue

    def send(self, message: dict[str, Any]) -> None:
        """A word to a worker that waits for one: open, block, stop."""
        self._write(pack(message))

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101  it is a pipe
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it died: the next event says how

    @property
    def pid(self) -> int:
        return self._process.pid

    def pause(self) -> None:
        """Stop it where it is, its threads too.

        Those of a pool that waits for work by spinning take a core from the next.
        """
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def next(self) -> Event:
        """The next event but `done`-less deaths.

        Raises:
            WorkerFailed: it reported an error, died, said what is no event, or the time is up.
        """
        while b"\n" not in self._buffer:
            left = self._deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                self._kill()
                raise WorkerFailed("timeout", "Timeout", f"not done after {self._timeout_s:g} s; it was killed")
            assert self._process.stdout is not None  # noqa: S101
            piece = self._process.stdout.read(1 << 20)
            if not piece:
                raise self._death()
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            event = decode(line)
        except ValueError as error:
            raise WorkerFailed("failed", "ProtocolError", str(error)) from None
        if isinstance(event, JobFailed):
            raise WorkerFailed(event.status, event.type, event.message)
        return event

    def events(self) -> Iterator[Event]:
        """Events up to `done`."""
        while not isinstance(event := self.next(), Done):
            yield event

    def until(self, kind: type[Said]) -> Said:
        """The next event of this kind; others on the way are dropped."""
        while not isinstance(event := self.next(), kind):
            pass
        return event

    def _death(self) -> WorkerFailed:
        code = self._process.wait()
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - _TAIL))
        tail = self._stderr.read().decode(errors="replace").strip()
        said = f"\nIts last words: {tail}" if tail else ""
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (the system kills like this when memory runs out)" if -code == signal.SIGKILL else ""
            return WorkerFailed("crashed", name, f"the worker was ended by {name}{hint}{said}")
        return WorkerFailed("crashed", "Exit", f"the worker ended with exit code {code} before it was done{said}")

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
