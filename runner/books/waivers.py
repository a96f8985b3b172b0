"""Granting and revoking waivers: each is an event in the books, and none is ever changed."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatch

from assay.runner.errors import UsageError, nearest
from assay.runner.rules.expression import parse
from assay.runner.rules.waiver import waiver_id
from assay.runner.run.execute import waivers_of
from assay.schema import rows
from assay.schema.queries import parity as parity_queries
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import new_id, now, write_bundle


def grant(
    store: Store,
    *,
    case_pattern: str,
    output: str,
    premise: str,
    owner: str,
    reason: str,
    expires_at: datetime,
    max_abs: float | None,
    wait_s: float,
    force: bool = False,
) -> str:
    """Record a waiver; returns its id. The same one granted again has the same id and the newer terms.

    What it covers has to be in the books, unless they are empty or `force` is set: for a case that is yet to run.

    Raises:
        UsageError: the premise is no invariant, it expires before it begins, or a text is empty; or no recorded case,
            or no output of the cases that it covers, has such a name.
        StoreError: it could not be recorded.
    """
    for name, text in (("--owner", owner), ("--reason", reason), ("--premise", premise), ("--output", output)):
        if not text.strip():
            raise UsageError(f"{name} is empty: a waiver needs one.")
    parsed = parse(premise)
    if not parsed.names:
        raise UsageError(f"the premise {premise!r} reads no array: it would hold whatever happens.")
    if expires_at <= now():
        raise UsageError(f"--until {expires_at:%Y-%m-%d} is past.")
    if not force:
        _refuse_unknown(store, case_pattern, output)
    identity = waiver_id(case_pattern, output, parsed.text, owner)
    _record(
        store,
        rows.WaiverEvent(
            event_id=new_id(),
            waiver_id=identity,
            action="grant",
            case_pattern=case_pattern,
            output=output,
            premise=parsed.text,
            max_abs=max_abs,
            owner=owner,
            reason=reason,
            expires_at=expires_at,
            recorded_at=now(),
        ),
        wait_s,
    )
    return identity


def _refuse_unknown(store: Store, case_pattern: str, output: str) -> None:
    newest = snapshot(store)
    if newest is None:
        return
    with reading(newest) as connection:
        recorded = parity_queries.outputs_by_case(connection)
    covered = [name for name in recorded if fnmatch(name, case_pattern) or name == case_pattern]
    if not recorded:
        return
    if not covered:
        raise UsageError(
            f"no recorded case is called {case_pattern!r}.{nearest(case_pattern, recorded)} --force waives it before it"
            " has run."
        )
    outputs = sorted({name for case in covered for name in recorded[case]})
    if outputs and output not in outputs:
        raise UsageError(
            f"no recorded case of {case_pattern!r} has an output {output!r}.{nearest(output, outputs)} --force waives"
            " it all the same."
        )


def revoke(store: Store, identity: str, *, owner: str, reason: str, wait_s: float) -> None:
    """Record that a waiver is taken back.

    Raises:
        UsageError: no waiver in force has this id.
    """
    ingest.sync(store, wait_s)
    known = {waiver.waiver_id: waiver for waiver in waivers_of(store)}
    if identity not in known:
        raise UsageError(
            f"no waiver in force has the id {identity!r}.{nearest(identity, known)} See: assay list waivers"
        )
    waiver = known[identity]
    _record(
        store,
        rows.WaiverEvent(
            event_id=new_id(),
            waiver_id=identity,
            action="revoke",
            case_pattern=waiver.case_pattern,
            output=waiver.output,
            premise=waiver.premise,
            max_abs=waiver.max_abs,
            owner=owner,
            reason=reason,
            expires_at=waiver.expires_at,
            recorded_at=now(),
        ),
        wait_s,
    )


def _record(store: Store, event: rows.WaiverEvent, wait_s: float) -> None:
    write_bundle(store, f"waiver-{event.waiver_id}", [event])
    ingest.sync(store, wait_s)
