"""What several commands share: one type for each thing that an option names, and how to open the store.

`Run` and `Case` stand for themselves (`assay show RUN`), `OfRun` and `OfCase` are the same thing as an option.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.runner.cli import complete, words
from assay.runner.errors import UsageError

if TYPE_CHECKING:
    import duckdb

    from assay.schema.store.database import Store


def one_of(closed: type[StrEnum], what: str, *, say: str) -> dict[str, Any]:
    """Settings of an option (or argument, `what`) that takes one of these words: help, completion, and its error."""

    def parse(text: str) -> StrEnum:
        known = [str(word) for word in closed]
        if text not in known:
            meant = f" Did you mean {close[0]!r}?" if (close := get_close_matches(text, known, 1)) else ""
            raise UsageError(f"{what} is {', '.join(known[:-1])} or {known[-1]}, not {text!r}.{meant}")
        return closed(text)

    return {"parser": parse, "autocompletion": complete.words(closed), "help": f"{say}: {', '.join(closed)}."}


def several(flag: str, what: str, completion: Callable[..., list[str]] | None = None) -> Any:
    """An option that can be given more than once."""
    return typer.Option(flag, help=f"{what}; can be given more than once.", autocompletion=completion)


DB = Path(".assay/assay.duckdb")
"""Where the books lie without `--db`."""
Db = Annotated[Path, typer.Option("--db", envvar="ASSAY_DB", help="The database file; everything else lies beside it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing more.")]
Wide = Annotated[bool, typer.Option("--wide", help="Every column and whole ids, however wide the terminal is.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for another writer.")]

_RUN = "id or its beginning, latest, latest~1, version:X, branch:X"
_SUITE = "A suite file, or the name of a suite that ships."
Suite = Annotated[str, typer.Argument(help=_SUITE, autocompletion=complete.suites)]
MovedSuite = Annotated[
    str | None,
    typer.Option("--suite", help="The suite file, if it has moved since.", autocompletion=complete.suites),
]
OfSuite = Annotated[str, typer.Option("--suite", help="Of this suite alone.", autocompletion=complete.recorded_suites)]
Run = Annotated[str, typer.Argument(help=f"A run: {_RUN}.", autocompletion=complete.runs)]
OfRun = Annotated[str, typer.Option("--run", help=f"Of which run: {_RUN}.", autocompletion=complete.runs)]
Case = Annotated[
    str, typer.Argument(help="A recorded case, by its name or a part of it.", autocompletion=complete.cases)
]
CasePattern = Annotated[
    str | None,
    typer.Option(
        "--case", help="Only cases whose name matches this pattern or contains it.", autocompletion=complete.cases
    ),
]
OfModels = Annotated[list[str] | None, several("--model", "Of this model alone")]

MaxSteps = Annotated[int | None, typer.Option("--max-steps", min=1, help="Of parity: no more steps than these.")]
DumpDir = Annotated[
    Path | None, typer.Option("--dump-dir", help="Keep inputs and outputs of failing steps here, as npz.")
]
Alert = Annotated[
    str,
    typer.Argument(help="An alert's id, or the beginning of it (assay alerts list).", autocompletion=complete.alerts),
]
Golden = Annotated[str, typer.Argument(help="A golden by name.", autocompletion=complete.goldens)]
RecordedSuite = Annotated[str, typer.Argument(help="The suite's name.", autocompletion=complete.recorded_suites)]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays in the history.")]
By = Annotated[str, typer.Option("--by", help="Who decides; your user name without.")]

PadSide = Annotated[
    words.PadSide, typer.Option("--pad-side", **one_of(words.PadSide, "--pad-side", say="Sweep is both, a case each"))
]
SummaryJson = Annotated[
    Path | None, typer.Option("--summary-json", help="Write a summary by output and step to this file.")
]
Asked = Annotated[
    words.Precision | None,
    typer.Option(
        "--asked",
        **one_of(words.Precision, "--asked", say="The precision that was meant, exit code 1 where it is another"),
    ),
]


_LONGEST_PATH = 3800
"""Linux takes 4096 bytes; a bundle's files have up to 120 more than the database."""


def user(name: str) -> str:
    """A name, or that of this user.

    Raises:
        UsageError: this user has no name.
    """
    import getpass

    try:
        return name or getpass.getuser()
    except (OSError, KeyError):
        raise UsageError("--by is needed: this user has no name.") from None


def store_at(db: Path) -> Store:
    """The store of a database file.

    Raises:
        UsageError: the path is a folder.
    """
    from assay.schema.store.database import Store

    if db.is_symlink():  # the lock, the spool and the copies lie beside the file, not beside a link to it
        db = db.resolve()
    if db.is_dir():
        raise UsageError(f"--db {db} is a folder; name a file in it, e.g. {db / 'assay.duckdb'}.")
    if len(os.fsencode(db.absolute())) > _LONGEST_PATH:
        raise UsageError(f"--db {str(db)[:80]}... is too long a path: files beside it would have no name that fits.")
    return Store(db.absolute())


@contextmanager
def published(db: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The newest snapshot, read-only.

    Raises:
        StoreError: nothing has been recorded, or it cannot be read.
    """
    from assay.schema.errors import StoreError
    from assay.schema.store.database import reading, snapshot
    from assay.schema.store.migrate import pending

    newest = snapshot(store_at(db))
    if newest is None:
        raise StoreError(f"nothing is recorded in {db} yet. Record something: assay run quickstart")
    with reading(newest) as connection:
        if pending(connection):
            raise StoreError(f"{db} was written by an older Assay. Bring it to this version: assay db migrate")
        yield connection


def run_named(connection: duckdb.DuckDBPyConnection, name: str, suite: str = "") -> str:
    """The run of a name, of a suite where one is given; else stderr says whose newest it is, where there are several.

    Raises:
        StoreError: there is none, or more than one.
    """
    import sys

    from assay.schema.queries.comparison import is_relative, resolve, suite_of
    from assay.schema.queries.runs import run_ids

    found = resolve(connection, name, suite)
    if not suite and is_relative(name) and len({row["suite"] for row in run_ids(connection)}) > 1:
        print(f"note: {name} is run {found[:13]} of suite {suite_of(connection, found)!r}", file=sys.stderr)
    return found


def write_text(out: Path, text: str) -> None:
    """Raises UsageError: the file cannot be written."""
    try:
        out.write_text(text)
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}.") from None
