"""Bundles that were put aside, tried again: a release before 0.6 put good ones aside when a disk was full."""

from __future__ import annotations

from collections.abc import Sequence

from assay.schema.errors import StoreError, nearest
from assay.schema.store import faults
from assay.schema.store.database import Store, exclusive
from assay.schema.store.ingest import Synced, names, sync


def requeue(store: Store, bundles: Sequence[str] | None = None, wait_s: float = 30.0) -> Synced:
    """Put bundles back among those that wait, all without names, then sync.

    Raises:
        StoreError: there is none of such a name, or the machine has a fault (`sync`).
    """
    there = names(store.rejected)
    for name in bundles or ():
        if name not in there:
            raise StoreError(f"no bundle {name!r} was put aside.{nearest(name, there)}")
    with faults.explained(store, "requeueing"), exclusive(store, wait_s):
        store.waiting.mkdir(parents=True, exist_ok=True)
        for name in sorted(there if bundles is None else bundles):
            if not (store.waiting / name).exists():
                (store.rejected / name).rename(store.waiting / name)
    return sync(store, wait_s)
