"""Events as lines of JSON."""

from __future__ import annotations

from dataclasses import MISSING, fields

from assay.runner.errors import nearest
from assay.runner.worker.events import facts, rows
from assay.runner.worker.events.event import Event
from assay.schema.documents import pack, unpack

KINDS: dict[str, type[Event]] = {
    "done": facts.Done, "error": facts.JobFailed, "note": facts.Noted,
    "imported": facts.LibraryImported, "opened": facts.Opened, "arithmetic": facts.ArithmeticSeen, "ready": facts.Ready, "block": facts.BlockTimed, "memory": facts.MemoryHeld, "layers": facts.LayersTimed,
    "receipt": facts.ReceiptGiven, "step": rows.Stepped, "invariant": rows.InvariantWatched, "liveness": rows.Reached, "noise": rows.Scattered, "maxima": facts.LargestErrors, "finding": rows.Noticed,
    "figure": facts.Measured, "ledger": rows.CodesSeen, "calibration_range": rows.RangeLearnt, "class_quality": rows.ClassMeasured, "sensitivity": rows.NodeMeasured,
    "model": facts.ModelRead, "recorded": facts.WorkloadRecorded, "lengths": facts.LengthsRecorded, "artifact": facts.ArtifactMade, "engine": facts.EngineMade, "failed": facts.NotMade,
    "reference_repeat": facts.ReferenceRepeated, "installed": facts.LibraryFound, "ports": facts.PortsRead, "rehearsed": facts.Rehearsed,
    "walk": facts.Walked, "unwalkable": facts.NotWalkable, "entry": rows.NodeWalked, "blame": rows.EdgeBlamed, "reproduction": facts.ReproductionWritten,
}  # fmt: skip
"""What an event is called on the wire -> what it says."""

_CALLED = {kind: name for name, kind in KINDS.items()}


def name_of(event: Event) -> str:
    """What an event is called on the wire."""
    return _CALLED[type(event)]


def encode(event: Event) -> str:
    """One line of JSON, without its end."""
    values = {f.name: getattr(event, f.name) for f in fields(event)}
    return pack({"event": name_of(event), **values})


def decode(line: str | bytes) -> Event:
    """The event of a line.

    Raises:
        ValueError: it is no event, of no kind that there is, or its fields are not those of its kind.
    """
    try:
        values = unpack(line)
    except ValueError:
        values = None
    if not isinstance(values, dict) or "event" not in values:
        raise ValueError(f"the worker sent no event: {line[:80]!r}")
    name = values.pop("event")
    if not isinstance(name, str) or name not in KINDS:
        raise ValueError(f"there is no event {name!r}.{nearest(str(name), KINDS)}")
    kind = KINDS[name]
    known = {f.name: f for f in fields(kind)}
    for key in values:
        if key not in known:
            raise ValueError(f"event {name!r} has no field {key!r}.{nearest(key, known)}")
    needed = [key for key, f in known.items() if f.default is MISSING and key not in values]
    if needed:
        raise ValueError(f"event {name!r} came without {', '.join(needed)}.")
    return kind(**values)
