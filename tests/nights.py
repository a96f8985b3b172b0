"""Nights of made-up cases in a real store: levels, versions, hosts and verdicts as a test asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import numpy as np

from assay.schema import rows
from assay.schema.metrics import METRICS
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import write_bundle
from tests.examples import a_row, a_run, an_environment

START = datetime.fromisoformat("2026-05-01T02:00:00")


@dataclass(frozen=True)
class Made:
    """One case: `value` and `passes` are functions of the night."""

    model: str = "m"
    variant: str = "fp32"
    backend: str = "onnxruntime"
    workload: str = "w"
    host: str = "gpu-1"
    suite: str = "nightly"
    metric: str = "latency_p50_ms"
    value: Callable[[int], float] = lambda _: 10.0
    passes: Callable[[int], bool] | None = None
    version: Callable[[int], str] = lambda _: "v1"
    environment: Callable[[int], str] = lambda _: "e"
    artifact: Callable[[int], str | None] = lambda _: None
    noise: float = 0.01

    @property
    def name(self) -> str:
        return f"{self.model}/{self.variant}/{self.backend}/{self.workload}/benchmark"


def record(
    store: Store, cases: list[Made], nights: range, seed: int = 0, start: datetime = START, trigger: str = "x"
) -> None:
    """One run a host, suite and night; the noise of a case and night is always the same."""
    for night in nights:
        started = start + timedelta(days=night)
        for host, suite in sorted({(case.host, case.suite) for case in cases}):
            run = a_run(
                f"{suite}-{host}-{night:03d}",
                started_at=started,
                host=host,
                git_commit=f"c{night:03d}",
                trigger=trigger,
            )
            made: list[Any] = [METRICS[name].row for name in sorted({case.metric for case in cases})]
            made += [
                a_row(rows.Run, **{**_fields(run), "suite": suite}),
                rows.RunEnd(run_id=run.run_id, ended_at=started, exit_code=0),
            ]
            for case in (case for case in cases if (case.host, case.suite) == (host, suite)):
                made += _case(case, night, run.run_id, started, seed)
            with patch("os.fsync"):  # a made-up night need not outlive a power cut
                write_bundle(store, run.run_id, made)
    ingest.sync(store, 30)


def repeat_the_newest_run(store: Store, times: int) -> None:
    """Nights that come out as the newest run did: its rows under ids of their own, figures within 1 % of its.

    One real run and its repetitions are what as many real runs would be on a host whose load never changes.
    """
    with reading(snapshot(store)) as connection:
        newest = connection.execute("select run_id from run order by started_at desc, run_id desc limit 1").fetchone()[
            0
        ]
        kept = {
            kind: connection.execute(
                f"select {', '.join(field.name for field in fields(kind))} from {kind.table} where run_id = ?", [newest]
            ).fetchall()
            for kind in (rows.Run, rows.RunEnd, rows.CaseResult, rows.Measurement, rows.Verdict)
        }
    for number in range(1, times + 1):
        made = [
            _repeated(kind(**dict(zip((field.name for field in fields(kind)), values, strict=True))), number)
            for kind, some in kept.items()
            for values in some
        ]
        write_bundle(store, f"{newest}-{number}", made)
    ingest.sync(store, 30)


_VARIES = (1.0, 0.996, 1.003, 0.999, 1.005, 0.998, 1.002)


def _repeated(row: Any, number: int) -> Any:
    """A row of the same run's `number`-th repetition."""
    changes: dict[str, Any] = {
        name: f"{getattr(row, name)}-{number}" for name in ("run_id", "case_id", "verdict_id") if hasattr(row, name)
    }
    if hasattr(row, "started_at"):
        changes["started_at"] = row.started_at + timedelta(milliseconds=number)
    if isinstance(row, rows.Measurement) and not METRICS[row.metric].exact:
        by = _VARIES[number % len(_VARIES)]
        changes |= {name: old * by for name in ("value", "low", "high") if (old := getattr(row, name)) is not None}
    return replace(row, **changes)


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _case(case: Made, night: int, run_id: str, started: datetime, seed: int) -> list[Any]:
    case_id = f"{run_id}-{case.name}"
    generator = np.random.default_rng([seed, night, *case.name.encode()])
    value = float(case.value(night) * np.exp(case.noise * generator.normal()))
    environment = case.environment(night)
    made: list[Any] = [
        an_environment() if environment == "e" else a_row(rows.Environment, environment_id=environment, hardware_class="cpu", onnxruntime=environment),
        a_row(
            rows.CaseResult, case_id=case_id, run_id=run_id, case_key=case.name, name=case.name, model=case.model, model_version=case.version(night),
            variant=case.variant, backend=case.backend, workload=case.workload, environment_id=environment, check_kind="benchmark", status="ok",
            started_at=started, artifact_id=case.artifact(night), comparability=f"model={case.model}; workload={case.workload}; mode=alone; hardware=cpu; device=cpu; threads=1",
        ),
        a_row(
            rows.Measurement, case_id=case_id, run_id=run_id, series_id=f"{case.name}/{case.host}/{case.metric}", metric=case.metric, value=value,
            low=value * 0.99, high=value * 1.01, provenance="measured",
        ),
    ]  # fmt: skip
    if (artifact := case.artifact(night)) is not None:
        made.append(a_row(rows.Artifact, artifact_id=artifact, sha256=artifact, model=case.model, variant=case.variant))
    if case.passes is not None:
        passed = case.passes(night)
        made.append(
            a_row(
                rows.Verdict,
                verdict_id=f"{case_id}-v",
                case_id=case_id,
                run_id=run_id,
                subject="parity",
                name="logits",
                policy_id="p",
                outcome="pass" if passed else "fail",
                reason="all within" if passed else "3 elements outside",
                judged_at=started,
            )
        )
    return made


def stepping(at: int, factor: float, level: float = 10.0, until: int = 10**6) -> Callable[[int], float]:
    """A level that is `factor` times as high from a night on, and back from another."""
    return lambda night: level * (factor if at <= night < until else 1.0)
