"""Programs that are killed at a chosen step, for tests of what is then left."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.places import SOURCES

_COUNTING = """
import os, signal, sys
from pathlib import Path
at, seen = int(sys.argv[1]), 0
def counted(function):
    def called(*arguments, **more):
        global seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **more)
    return called
def steps(*places):
    for owner, name in places:
        setattr(owner, name, counted(getattr(owner, name)))
"""


def killed_at(at: int, program: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run a program that names its `steps((owner, "function"), ...)`; SIGKILL ends it before the one of this number.

    Its arguments are `sys.argv[2:]`.
    """
    return subprocess.run(
        [sys.executable, "-c", _COUNTING + program, str(at), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": SOURCES},
        check=False,
        capture_output=True,
    )
