"""Why a recorded case fails.

Its model is prepared again, both graphs are walked, and the answer is recorded with the case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from assay.runner.errors import NothingMeasured, UsageError, nearest
from assay.runner.run.prepare import Prepared, made_for, opened_from, prepare, source_of
from assay.runner.suites.case import Case, expand
from assay.runner.suites.checks import recorded_as
from assay.runner.suites.run_here import suite_here
from assay.runner.suites.suite import Suite, find_suite, load_suite
from assay.runner.worker.events.facts import Noted, NotWalkable, ReproductionWritten, Walked
from assay.runner.worker.events.rows import EdgeBlamed, NodeWalked
from assay.runner.worker.job import ExplainJob
from assay.runner.worker.process import Worker, WorkerFailed
from assay.schema import rows
from assay.schema.queries import parity as parity_queries
from assay.schema.queries import runs as run_queries
from assay.schema.store.database import Store
from assay.schema.store.spool import new_id, write_bundle

_TIMEOUT_S = 3600.0
Event = dict[str, Any]


@dataclass(slots=True)
class Explained:
    """What the walk and the chain came to."""

    explanation_id: str
    case: dict[str, Any]
    step: int
    walk: Event = field(default_factory=dict)
    entries: list[Event] = field(default_factory=list)
    blame: list[Event] = field(default_factory=list)
    reproduction: str | None = None
    note: str | None = None
    """Why there was no walk, if there was none."""

    @property
    def suspect(self) -> Event | None:
        return next((entry for entry in self.entries if entry["suspect"]), None)

    def as_document(self) -> dict[str, Any]:
        return {
            "explanation": self.explanation_id,
            "case": self.case["name"],
            "run": self.case["run_id"],
            "step": self.step,
            "walk": self.walk,
            "suspect": self.suspect,
            "entries": self.entries,
            "blame": self.blame,
            "reproduction": self.reproduction,
            "note": self.note,
        }


def explain_case(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    run_id: str,
    name: str,
    *,
    suite: str | None,
    step: int | None,
    max_memory: int | None,
    out: Path,
) -> Explained:
    """Find a recorded parity case, prepare its model again, and walk it at a step (the worst one, if none is given).

    Raises:
        UsageError: no such case or step, its suite is not found, or its model cannot be prepared or walked.
        NothingMeasured: the case compared nothing.
    """
    recorded = _recorded(connection, run_id, name)
    path = find_suite(suite or suite_here(store, recorded["suite"]))
    loaded = load_suite(path)
    case = _case(loaded, recorded)
    worst = _worst_step(connection, recorded["case_id"])
    answer = Explained(new_id(), recorded, worst if step is None else step)
    folder = path.parent.absolute()
    prepared = prepare(loaded, folder, store, [case, *_float_case(loaded, case)])
    if failure := prepared.failure_for(case):
        raise UsageError(f"the model of {name!r} cannot be prepared: {failure.message}")
    steps = prepared.workloads[case.workload]["steps"]
    if not 0 <= answer.step < steps:
        raise UsageError(f"step {answer.step} is not there: the workload has steps 0 to {steps - 1}.")
    _ask_worker(
        _job(loaded, folder, store, prepared, case, answer.step, max_memory, out / recorded["name"].replace("/", "_")),
        case,
        answer,
    )
    return answer


def _recorded(connection: duckdb.DuckDBPyConnection, run_id: str, name: str) -> dict[str, Any]:
    cases = recorded_as("parity", run_queries.find_case(connection, run_id))
    exact = [case for case in cases if case["name"] == name]
    found = exact or [case for case in cases if name in case["name"]]
    if len(found) != 1:
        names = [case["name"] for case in found or cases]
        what = "is not one parity case" if found else "is no parity case"
        raise UsageError(f"{name!r} {what} of run {run_id[:13]}.{nearest(name, names)}")
    return found[0]


def _case(suite: Suite, recorded: dict[str, Any]) -> Case:
    model = suite.model.get(recorded["model"])
    versions = {recorded["model"]: recorded["model_version"]} if model and model.versions else None
    cases = expand(suite, versions)
    found = next((case for case in cases if case.name == recorded["name"]), None)
    if found is None:
        raise UsageError(
            f"suite {suite.name!r} no longer has"
            f" {recorded['name']!r}.{nearest(recorded['name'], [c.name for c in cases])}"
        )
    return found


def _float_case(suite: Suite, case: Case) -> Sequence[Case]:
    """The case whose artifact the variant was made from, when it is not the export itself."""
    if case.recipe.recipe in ("given", "export") or case.choice.kind == "pytorch":
        return []
    return [_as_it_is(suite, case)]


def _as_it_is(suite: Suite, case: Case) -> Case:
    """The case of the model without any recipe: the chain begins there, whatever the variant is made of."""
    if case.recipe.recipe in ("given", "export"):
        return case
    return replace(case, variant="fp32", recipe=suite.variant_named("fp32", case.model, case.files))


def _worst_step(connection: duckdb.DuckDBPyConnection, case_id: str) -> int:
    """The first step that breaks its tolerance most, relative to the output's own size.

    One that could not be compared at all (another shape, an output that is missing) is worse than any error.

    Raises:
        NothingMeasured: the case left no receipt of a step.
    """
    steps = [
        r
        for r in parity_queries.receipts_of_case(connection, case_id)
        if r["step"] >= 0 and (r["elements"] or r["problem"])
    ]
    if not steps:
        raise NothingMeasured("the case compared nothing at any step, so there is nothing to explain.")
    failing = [r for r in steps if r["violations"] or r["problem"]] or steps
    return int(max(failing, key=lambda r: (_how_bad(r), -r["step"]))["step"])


def _how_bad(receipt: dict[str, Any]) -> float:
    """Relative L2; what cannot be compared, and NaN or infinity on one side only, is as bad as can be."""
    if receipt["problem"] or receipt["nonfinite_mismatches"]:
        return math.inf
    return 0.0 if receipt["rel_l2"] is None else float(receipt["rel_l2"])


def _job(
    suite: Suite,
    folder: Path,
    store: Store,
    prepared: Prepared,
    case: Case,
    step: int,
    max_memory: int | None,
    out: Path,
) -> ExplainJob:
    source, options = opened_from(suite, folder, prepared, case)
    model = suite.model[case.model]
    reference = None
    if case.files.pytorch:
        unchanged = _as_it_is(suite, case)
        reference = {"backend": "pytorch", "source": source_of(suite, unchanged, "pytorch", folder), "options": {}}
    made_from = (
        prepared.artifacts.get("fp32")
        if case.variant != "fp32" and case.recipe.recipe not in ("given", "export")
        else None
    )
    return ExplainJob(
        backend=case.choice.kind,
        source=source,
        options=options,
        candidate=case.backend,
        folder=str(folder),
        goldens=str(store.goldens),
        golden=prepared.golden_names[case.workload],
        step=step,
        max_memory=max_memory,
        out=str(out),
        rename=model.rename,
        rename_inputs=model.rename_inputs,
        reference=reference,
        float_onnx=made_from["path"] if made_from else "",
        **made_for(prepared, case),
    )


def _ask_worker(job: ExplainJob, case: Case, answer: Explained) -> None:
    try:
        with Worker(job, python=case.choice.python, timeout_s=_TIMEOUT_S) as worker:
            for event in worker.events():
                match event:
                    case Walked():
                        answer.walk = event.facts()
                    case NodeWalked():
                        answer.entries.append(event.facts())
                    case EdgeBlamed():
                        answer.blame.append(event.facts())
                    case ReproductionWritten():
                        answer.reproduction = event.folder
                    case NotWalkable():
                        answer.note = event.reason
                    case Noted():
                        answer.note = event.message
    except WorkerFailed as failure:
        raise UsageError(f"{answer.case['name']} cannot be explained: {failure.message}") from None


def record(store: Store, answer: Explained) -> None:
    """Keep an explanation beside its case; a later one does not replace it."""
    keys = {"case_id": answer.case["case_id"], "run_id": answer.case["run_id"]}
    made: list[rows.Row] = [
        rows.Divergence(explanation_id=answer.explanation_id, **keys, **entry) for entry in answer.entries
    ]
    made += [rows.Blame(explanation_id=answer.explanation_id, **keys, **edge) for edge in answer.blame]
    if suspect := answer.suspect:
        layer = f" in {suspect['layer']}" if suspect["layer"] else ""
        message = (
            f"{suspect['op_type']} {suspect['node']!r}{layer} (reference: {suspect['reference_node']}) is the first"
            " that is wrong by itself" + (f": {suspect['hint']}" if suspect["hint"] else "")
        )
        made.append(
            rows.Finding(kind="first_divergence", subject=suspect["node"], severity="note", message=message, **keys)
        )
    write_bundle(store, answer.case["run_id"], made)
