"""Does this store still catch a regression? One is planted in a scratch copy; nights without it have to stay silent."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.nights.config import Channel
from assay.runner.nights.look import look
from assay.runner.nights.notify import digest_for, send
from assay.runner.regressions.alerts.new_changes import Watching
from assay.runner.regressions.detection.calibrate import stationary
from assay.runner.regressions.detection.detect import as_log, known_tonight
from assay.runner.regressions.detection.floors import is_exact
from assay.runner.regressions.detection.histories import nights, resampled
from assay.runner.tensors import Array
from assay.schema import rows
from assay.schema.metrics import LATENCY_P50_MS, METRICS
from assay.schema.queries import alerts as alert_queries
from assay.schema.queries.base import Filters, ask
from assay.schema.queries.series import series
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import new_id, now, write_bundle

NIGHTS = 8
"""That the planted level has to be caught in."""
_HISTORY = 12
_SIZE = 0.20
_NOISES = 6.0
"""In a series that is noisier than a step of a fifth, the planted one is so many standard deviations."""
_MADE_UP = 30


@dataclass(frozen=True, slots=True)
class Caught:
    """What became of the planted regression, and of nights without it."""

    series: str
    recorded: bool
    """Whether the history is the store's own; else it was made up."""
    size: float
    """Of the planted step: 0.2 is a fifth worse."""
    after_nights: int | None
    """Nights of the new level until the alert opened; None: it never did."""
    told: bool
    """Whether the digest that would have gone out names it."""
    false_alarm: bool
    """Whether nights without the step opened an alert, twice in two."""

    @property
    def passed(self) -> bool:
        return self.after_nights is not None and self.told and not self.false_alarm


def selftest_alerts(store: Store, seed: int) -> Caught:
    """Plant a regression in a scratch copy of the store and watch it as the nightly job would, night by night.

    The series is the one with the most nights among those whose noise allows a verdict; where none has 12 nights, a
    history is made up. The store itself is only read.
    """
    with tempfile.TemporaryDirectory(prefix="assay-selftest-") as folder:
        planted = _scratch(store, Path(folder) / "planted", seed)
        history, recorded = _known(planted)[0], bool(_known(store))
        generator = np.random.default_rng(seed)
        noise = stationary(history["values"])
        size = max(_SIZE, _NOISES * float(np.std(noise)))
        factor = 1 + size if history["better"] == "lower" else 1 / (1 + size)
        values = [value * factor for value in _nights(history, noise, generator)]
        after, told = _watch(planted, history, values, Path(folder))
        # One false alarm in so many nights is what the rule costs (docs/regressions.md); two in two are a rule that
        # hears everything.
        alarms = [
            _watch(
                _scratch(store, Path(folder) / name, seed), history, _nights(history, noise, generator), Path(folder)
            )[0]
            for name in ("calm", "calm again")
        ]
        return Caught(f"{history['name']} {history['metric']}", recorded, size, after, told, None not in alarms)


def _known(store: Store) -> list[dict[str, Any]]:
    """Recorded series that a step can be planted in: without a change of their own in the newest nights.

    Those with the most nights first.
    """
    published = snapshot(store)
    if published is None:
        return []
    with reading(published) as connection:
        found = series(connection, Filters(), _HISTORY)
    fit = [
        row
        for row in found
        if min(row["values"]) > 0 and not is_exact(row["metric"]) and len(set(row["environments"][-_HISTORY:])) == 1
    ]
    fit = [row for row in fit if not _moves_by_itself(row)]
    return sorted(fit, key=lambda row: (-row["nights"], row["series_id"]))


def _moves_by_itself(history: Mapping[str, Any]) -> bool:
    newest = known_tonight(history["values"], better=history["better"], environment=history["environments"])
    return any(change.index > len(history["values"]) - _HISTORY for change in newest)


def _scratch(store: Store, folder: Path, seed: int) -> Store:
    """A store of its own with the recorded history, or with a made-up one."""
    made = Store(folder / "assay.duckdb")
    published = snapshot(store)
    folder.mkdir(parents=True)
    if published is not None and _known(store):
        shutil.copyfile(published, made.database)
        made.waiting.mkdir(parents=True)
    else:
        _make_up(made, seed)
    ingest.sync(made)
    look(made, Watching())  # what is new in the books themselves is told before, and is not the planted one
    return made


def _make_up(store: Store, seed: int) -> None:
    generator = np.random.default_rng(seed)
    levels = np.exp(np.log(10.0) + nights("plain", _MADE_UP, generator))
    environment = rows.Environment(
        environment_id="selftest", hardware_class="made up", os="", kernel="", cpu_model="", cpu_features="", cpu_cores=1, memory_bytes=1, gpu=None, gpu_count=0,
        gpu_memory_bytes=None, gpu_driver=None, gpu_clocks=None, gpu_ecc=None, gpu_mig=None, cuda=None, cudnn=None, python="", numpy="", torch=None, onnx=None,
        onnxruntime=None, tensorrt=None,
    )  # fmt: skip
    for night, value in enumerate(levels):
        started = now() - timedelta(days=_MADE_UP - night)
        run = rows.Run(
            run_id=f"selftest-{night:03d}", suite="selftest", suite_sha256="", trigger="nightly", started_at=started, host="made up", environment_id="selftest",
            git_commit=None, git_branch=None, git_dirty=None, seed=seed, tool_version="", command="", cases_planned=1,
        )  # fmt: skip
        case = rows.CaseResult(
            case_id=f"selftest-{night:03d}", run_id=run.run_id, case_key="selftest", name="made-up/fp32/backend/workload/benchmark", model="made-up",
            model_version="v1", variant="fp32", backend="backend", device="cpu", provider=None, workload="workload", check_kind="benchmark", mode="alone",
            reference=None, status="ok", error_type=None, error_message=None, started_at=started, duration_s=1.0, placement=None, precision=None,
            workload_sha256=None, artifact_id=None, environment_id="selftest", comparability="", threads=None, reproduce="",
        )  # fmt: skip
        figure = rows.Measurement(
            case_id=case.case_id,
            run_id=run.run_id,
            series_id="selftest",
            metric=LATENCY_P50_MS,
            value=float(value),
            low=None,
            high=None,
            n=1,
            samples=None,
            block_length=None,
            provenance="measured",
        )
        write_bundle(store, run.run_id, [run, case, figure, environment, METRICS[LATENCY_P50_MS].row])


def _nights(history: Mapping[str, Any], noise: Array, generator: np.random.Generator) -> list[float]:
    """More nights of a history: its last level, and its own noise in blocks."""
    level = float(np.median(as_log(history["values"])[-_HISTORY:]))
    return [float(value) for value in np.exp(level + resampled(noise, NIGHTS, generator))]


def _watch(store: Store, history: Mapping[str, Any], values: list[float], folder: Path) -> tuple[int | None, bool]:
    """Record one night after the other and look each time.

    The night in which an alert of the series opened, and whether the digest names it.
    """
    for night, value in enumerate(values, 1):
        at = history["started_at"][-1] + timedelta(days=night)
        _record(store, history, value, at)
        look(store, Watching(), at=at + timedelta(hours=1))
        published = snapshot(store)
        assert published is not None  # noqa: S101  it was just published
        with reading(published) as connection:
            mine = [
                row
                for row in alert_queries.changes(connection, Filters())
                if row["series_id"] == history["series_id"]
                and row["alert_id"]
                and row["started_at"] >= history["started_at"][-1]
            ]
            alerts = alert_queries.alerts(connection, Filters())
            events = alert_queries.events_since(connection, at - timedelta(days=30))
        if mine:
            channel = Channel(name="selftest", kind="file", path="digest.jsonl")
            digest = digest_for(channel, events, alerts, [], "")
            sent = digest is not None and send(channel, digest, folder).outcome == "sent"
            told = sent and mine[0]["alert_id"] in (folder / "digest.jsonl").read_text()
            return night, told
    return None, False


def _record(store: Store, history: Mapping[str, Any], value: float, at: datetime) -> None:
    """One more night of a series: its newest run and case again, with another value."""
    published = snapshot(store)
    assert published is not None  # noqa: S101  the scratch copy has one
    with reading(published) as connection:
        run = ask(connection, "select * from run where run_id = $run", run=history["run_ids"][-1])[0]
        case = ask(
            connection,
            "select c.* from case_result c join measurement m using (case_id) where m.series_id = $s and c.run_id ="
            " $run limit 1",
            s=history["series_id"],
            run=history["run_ids"][-1],
        )[0]
    run_id, case_id = new_id(), new_id()
    made: list[rows.Row] = [
        rows.Run(**{**_columns(rows.Run, run), "run_id": run_id, "started_at": at}),
        rows.CaseResult(
            **{
                **_columns(rows.CaseResult, case),
                "run_id": run_id,
                "case_id": case_id,
                "started_at": at,
                "model_version": "planted",
            }
        ),
        rows.Measurement(
            case_id=case_id,
            run_id=run_id,
            series_id=history["series_id"],
            metric=history["metric"],
            value=value,
            low=None,
            high=None,
            n=1,
            samples=None,
            block_length=None,
            provenance="measured",
        ),
    ]
    write_bundle(store, run_id, made)
    ingest.sync(store)


def _columns(row_type: type[Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: row[field.name] for field in fields(row_type)}
