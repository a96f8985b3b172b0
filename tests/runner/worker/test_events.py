"""What a worker says arrives as it was said, or is refused with what is wrong about it."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path

import pytest

import assay.schema.rows
from assay.runner.worker import process
from assay.runner.worker.events import facts, rows
from assay.runner.worker.events.wire import KINDS, decode, encode
from assay.runner.worker.job import Job
from assay.runner.worker.process import Worker, WorkerFailed

KEYS = {"case_id", "run_id", "explanation_id"}
ABOUT = {"workload", "variant"}


@pytest.mark.parametrize(
    ("event", "row"),
    [
        (rows.Stepped, assay.schema.rows.StreamStep),
        (rows.InvariantWatched, assay.schema.rows.Invariant),
        (rows.Reached, assay.schema.rows.Liveness),
        (rows.Scattered, assay.schema.rows.Noise),
        (rows.Noticed, assay.schema.rows.Finding),
        (rows.CodesSeen, assay.schema.rows.LedgerEntry),
        (rows.RangeLearnt, assay.schema.rows.CalibrationRange),
        (rows.ClassMeasured, assay.schema.rows.ClassQuality),
        (rows.NodeMeasured, assay.schema.rows.Sensitivity),
        (rows.NodeWalked, assay.schema.rows.Divergence),
        (rows.EdgeBlamed, assay.schema.rows.Blame),
    ],
)
def test_an_event_that_becomes_a_row_has_its_columns_with_their_types_but_its_keys(event: type, row: type):
    columns = {f.name: f.type for f in fields(row) if f.name not in KEYS}
    assert {f.name: f.type for f in fields(event) if f.name not in ABOUT} == columns


def test_an_event_arrives_as_it_was_said():
    """A signal-to-noise ratio may be infinite, and a figure may be absent."""
    said = rows.NodeMeasured(position=3, node="/fc/MatMul", op_type="MatMul", alone_sqnr_db=math.inf, without_sqnr_db=None)  # fmt: skip
    assert decode(encode(said)) == said
    assert json.loads(encode(said))["event"] == "sensitivity"


def test_what_an_event_is_about_is_no_column_of_its_row():
    noticed = rows.Noticed("training_mode", "dropout", "fail", "1 module", workload="noise")
    assert decode(encode(noticed)) == noticed
    assert noticed.facts() == {
        "kind": "training_mode", "subject": "dropout", "severity": "fail", "message": "1 module",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"event": "opend"}', "there is no event 'opend'. Did you mean 'opened'?"),
        ('{"event": "imported", "rss_byte": 1}', "event 'imported' has no field 'rss_byte'. Did you mean 'rss_bytes'?"),
        ('{"event": "block", "ms": [1.0]}', "event 'block' came without phases."),
        ("[1, 2]", "sent no event"),
        ("loading weights ...", "sent no event: 'loading weights"),
    ],
)
def test_a_line_that_is_no_event_is_refused_with_what_is_wrong(line: str, says: str):
    with pytest.raises(ValueError, match="event") as refused:
        decode(line)
    assert says in str(refused.value)


def test_every_class_of_event_has_one_name_on_the_wire():
    defined = {
        kind
        for module in (facts, rows)
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    }
    assert set(KINDS.values()) == defined
    assert len(KINDS) == len(defined)


def worker_that_prints(folder: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> Worker:
    script = folder / "says.py"
    script.write_text(f"import sys\nsys.stdin.readline()\nprint({line!r}, flush=True)\n")
    monkeypatch.setattr(process, "_BOOT", script)
    return Worker(Job(op="none"), python=None, timeout_s=60)


def test_a_worker_that_says_what_is_no_event_fails_its_case_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with (
        worker_that_prints(tmp_path, '{"event": "ready", "first": 1}', monkeypatch) as worker,
        pytest.raises(WorkerFailed, match="event 'ready' has no field 'first'. Did you mean 'first_ms'?") as failed,
    ):
        worker.until(facts.Ready)
    assert (failed.value.status, failed.value.kind) == ("failed", "ProtocolError")


def test_an_operation_that_there_is_not_is_told_by_the_worker():
    for name in ("party", "session"):  # the second is a module beside the operations
        with (
            Worker(Job(op=name), python=None, timeout_s=60) as worker,
            pytest.raises(WorkerFailed, match=f"a worker has no operation '{name}'"),
        ):
            worker.until(facts.Done)
