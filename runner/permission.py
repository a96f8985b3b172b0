"""Which code may run: what a suite names only runs where it lies beside the suite, is Assay's, or was allowed.

`--allow-code=WHAT` allows more, on every verb, for this command and all that it starts; `ASSAY_ALLOW_CODE` does the
same for cron, several separated by commas. WHAT is a module or package (`mypkg`, and all that lies in it), a file or
folder (`/srv/models`, and all that lies in it), or nothing (`--allow-code`) or `all`: everything.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from assay.runner.errors import UsageError

VARIABLE = "ASSAY_ALLOW_CODE"
EVERYTHING = "all"
_FLAG = "--allow-code"
_OURS = ("assay.runner.models", "assay.runner.workloads")
"""Assay's modules that a suite may name; what else Assay does is not for a suite to call."""


def take_flags(arguments: Sequence[str]) -> list[str]:
    """The arguments without `--allow-code`, which goes into the environment: workers and re-runs inherit it.

    What follows `--` is left as it is.

    Raises:
        UsageError: the flag has an equals sign and nothing behind it.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = [word for word in arguments[:end] if word == _FLAG or word.startswith(_FLAG + "=")]
    if f"{_FLAG}=" in flags:
        raise UsageError(f"{_FLAG}= names nothing: name a module, a file or a folder, or write {_FLAG} alone.")
    named = [word.partition("=")[2] or EVERYTHING for word in flags]
    if named:
        os.environ[VARIABLE] = ",".join(dict.fromkeys([*_allowed(), *named]))
    return [word for word in arguments[:end] if word not in flags] + list(arguments[end:])


def flags() -> str:
    """What to add to a command so that it may run what this one may; begins with a space, empty without any."""
    return "".join(f" {_FLAG}" if word == EVERYTHING else f" {shlex.quote(f'{_FLAG}={word}')}" for word in _allowed())


def _allowed() -> list[str]:
    return [word for piece in os.environ.get(VARIABLE, "").split(",") if (word := piece.strip())]


def is_ours(module: str) -> bool:
    """Whether it is one of Assay's modules that a suite may name."""
    return any(module == room or module.startswith(f"{room}.") for room in _OURS)


def may_import(module: str) -> bool:
    """Whether a module that is neither beside the suite nor Assay's was allowed."""
    return any(word in (EVERYTHING, module) or module.startswith(f"{word}.") for word in _allowed())


def may_open(path: Path) -> bool:
    """Whether a file whose loading runs code was allowed: itself, or a folder that it lies in."""
    place = path.resolve()
    return any(
        word == EVERYTHING or (("/" in word or "." in word) and place.is_relative_to(Path(word).resolve()))
        for word in _allowed()
    )


def require_module(reference: str, module: str) -> None:
    """Raises UsageError: nobody allowed the module; says how."""
    if not may_import(module):
        raise UsageError(
            f"{reference!r} is code that lies neither beside the suite nor in Assay's models, so it was not run. If"
            f" you trust it, add {_FLAG}={module.partition('.')[0]}, or set {VARIABLE}."
        )


def require_file(reference: str, path: Path, why: str) -> None:
    """Raises UsageError: nobody allowed the file; `why` says what it would do, and the message how to allow it."""
    if not may_open(path):
        raise UsageError(
            f"{reference!r} {why}, so it was not opened. If you trust it, add"
            f" {shlex.quote(f'{_FLAG}={path.resolve()}')}, or set {VARIABLE}."
        )


def require_program(program: str) -> None:
    """An interpreter that a suite names: this one, one of `ASSAY_PYTHON_<KIND>`, or an allowed one.

    It is compared as it is written, not where links lead: an environment's interpreter is a link to a common one.

    Raises:
        UsageError: it is another one.
    """
    named = {value for name, value in os.environ.items() if name.startswith("ASSAY_PYTHON_")}
    if program in named | {sys.executable} or {program, EVERYTHING} & set(_allowed()):
        return
    if not any("/" in word and Path(program).absolute().is_relative_to(Path(word).absolute()) for word in _allowed()):
        raise UsageError(
            f"python = {program!r} is a program that the suite names, so it was not started. If you trust it, add"
            f" {shlex.quote(f'{_FLAG}={program}')}, or name it by ASSAY_PYTHON_<KIND>."
        )
