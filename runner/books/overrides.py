"""Recording that unlike things were compared on purpose."""

from __future__ import annotations

from assay.schema import rows
from assay.schema.queries.comparison import RunComparison
from assay.schema.store import ingest
from assay.schema.store.database import Store
from assay.schema.store.spool import new_id, now, write_bundle


def record_override(store: Store, compared: RunComparison, *, owner: str, reason: str, wait_s: float) -> None:
    """Append who compared two unlike runs, what differed, and why.

    Raises:
        StoreError: it could not be recorded.
    """
    row = rows.ComparisonOverride(
        override_id=new_id(),
        recorded_at=now(),
        owner=owner,
        run_a=compared.a,
        run_b=compared.b,
        differs="; ".join(compared.unlike),
        reason=reason,
    )
    write_bundle(store, row.override_id, [row])
    ingest.sync(store, wait_s)
