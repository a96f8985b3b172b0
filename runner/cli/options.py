"""What several commands share: the options that name the store, and how to open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assay.runner.errors import UsageError

if TYPE_CHECKING:
    import duckdb

    from assay.schema.store.database import Store

DB_DEFAULT = ".assay/assay.duckdb"
Db = Annotated[Path, typer.Option("--db", envvar="ASSAY_DB", help="The database file; everything else lies beside it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing more.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for another writer.")]


def store_at(db: Path) -> Store:
    """The store of a database file.

    Raises:
        UsageError: the path is a folder.
    """
    from assay.schema.store.database import Store

    if db.is_dir():
        raise UsageError(f"--db {db} is a folder; name a file in it, e.g. {db / 'assay.duckdb'}.")
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
