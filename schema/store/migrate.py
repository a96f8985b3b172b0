"""Numbered SQL files, each applied once, in one transaction with the record that it was."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

import duckdb

from assay.schema.errors import StoreError, StoreTooNew

_RECORD_TABLE = """
create table if not exists schema_migration (
    version bigint not null, name varchar not null, sha256 varchar not null, applied_at timestamp not null)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def known() -> list[Migration]:
    """Every migration that this version of Assay ships, in order."""
    files = sorted((resources.files("assay.schema.store") / "migrations").iterdir(), key=lambda file: file.name)
    return [
        Migration(int(file.name[:4]), file.name[5:-4], file.read_text()) for file in files if file.name.endswith(".sql")
    ]


def latest() -> int:
    return known()[-1].version


def applied(connection: duckdb.DuckDBPyConnection) -> dict[int, str]:
    """Version -> SHA-256 of what has been applied. Writes nothing."""
    tables = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
    if "schema_migration" not in tables:
        if tables:
            raise StoreError(f"this is not an Assay database: it holds the tables {', '.join(sorted(tables)[:5])}.")
        return {}
    return dict(connection.execute("select version, sha256 from schema_migration").fetchall())


def pending(connection: duckdb.DuckDBPyConnection) -> list[Migration]:
    """Migrations not applied yet. Writes nothing.

    Raises:
        StoreTooNew: the database has a migration that this version does not know.
        StoreError: an applied migration is not the one we ship, or this is another program's database.
    """
    done = applied(connection)
    ours = {migration.version: migration for migration in known()}
    if done and max(done) > max(ours):
        raise StoreTooNew(
            f"the database has schema version {max(done)}, this Assay knows up to {max(ours)}. "
            "It was written by a newer Assay: upgrade this one, or point --db at another file. Nothing was changed."
        )
    for version, sha256 in done.items():
        if ours[version].sha256 != sha256:
            raise StoreError(
                f"migration {version:04d} was applied with other text than {ours[version].name}.sql has now."
            )
    return [migration for migration in known() if migration.version not in done]


def migrate(connection: duckdb.DuckDBPyConnection) -> list[Migration]:
    """Apply what is pending, each with its record in one transaction; returns what was applied."""
    todo = pending(connection)
    connection.execute(_RECORD_TABLE)
    for migration in todo:
        connection.execute("begin")
        try:
            connection.execute(migration.sql)
            connection.execute(
                "insert into schema_migration values (?, ?, ?, ?)",
                [migration.version, migration.name, migration.sha256, datetime.now(UTC).replace(tzinfo=None)],
            )
            connection.execute("commit")
        except Exception:
            with suppress(duckdb.Error):  # DuckDB may have ended it already; the first error is the one to tell
                connection.execute("rollback")
            raise
    return todo
