"""The database held against its log: every file's hash, every table's rows, the chain of bundles."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import duckdb

from assay.schema.errors import BadBundle, UnreadableBundle
from assay.schema.rows import FACTS
from assay.schema.store import faults, migrate, roll
from assay.schema.store.bundle import Bundle, read_manifest
from assay.schema.store.database import Store, exclusive, writing
from assay.schema.store.ingest import in_order, names


@dataclass(slots=True)
class Verified:
    """What was held against the log, and what was wrong."""

    bundles: int = 0
    """Of the database."""
    rows: int = 0
    """Of all tables of facts."""
    faults: list[str] = field(default_factory=list)


def verify(store: Store, wait_s: float = 30.0) -> Verified:
    """Read every bundle of the log, and compare.

    Rows are counted in the tables of facts; dictionaries keep one row however often it comes. Releases before schema
    version 9 kept no chain: their bundles are held against the log one by one.

    Raises:
        StoreError: the database or the log cannot be read on this machine now.
    """
    found = Verified()
    with faults.explained(store, "verifying"), exclusive(store, wait_s), writing(store) as connection:
        migrate.migrate(connection)
        taken = in_order(connection)
        found.bundles = len(taken)
        logged = names(store.ingested)
        for name in sorted(logged - {bundle_id for bundle_id, _ in taken}):
            found.faults.append(f"bundle {name} is in the log and not in the database: assay db sync takes it")
        counted, chain = Counter[str](), ""
        for bundle_id, recorded in taken:
            bundle = _sound(store, bundle_id, logged, found)
            if bundle is None:
                continue
            counted.update(bundle.files)
            if recorded is not None:
                chain = roll.chained(chain, bundle_id, bundle.manifest_sha256)
                if chain != recorded:
                    found.faults.append(f"bundle {bundle_id} is not the one that was ingested: the chain breaks here")
                    chain = recorded
        _count(connection, counted, found)
    return found


def _sound(store: Store, bundle_id: str, logged: set[str], found: Verified) -> Bundle | None:
    """A bundle of the log whose every table is what its manifest says; None, and a fault more, where it is not."""
    if bundle_id not in logged:
        found.faults.append(f"bundle {bundle_id} is in the database and not in the log")
        return None
    try:
        bundle = read_manifest(store.ingested / bundle_id)
        for _ in bundle.tables():
            pass
    except (BadBundle, UnreadableBundle) as error:
        found.faults.append(f"bundle {bundle_id} of the log: {error}")
        return None
    return bundle


def _count(connection: duckdb.DuckDBPyConnection, counted: Counter[str], found: Verified) -> None:
    for row_type in FACTS:
        (there,) = connection.execute(f"select count(*) from {row_type.table}").fetchone() or (0,)
        found.rows += there
        if there != counted[row_type.table]:
            found.faults.append(
                f"table {row_type.table} has {there} rows, the sound bundles of the log {counted[row_type.table]}"
            )
