"""Quantize one node at a time, and all but one, and see what the outputs lose."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from assay.runner.errors import UsageError
from assay.runner.quality.sensitivity import sensitivities
from assay.runner.recipes.calibration import CalibrationData
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import Measured
from assay.runner.worker.events.rows import NodeMeasured, Noticed
from assay.runner.worker.job import CaseJob
from assay.runner.worker.jobs.session import announce, open_session, spread_steps
from assay.runner.workloads import golden

_STEPS = 8
"""Batches that outputs are compared on."""
_SHARE = 0.8
"""Of the case's time limit: nodes that are not reached by then are said to be unknown."""


def run(job: CaseJob, events: Events) -> None:
    """One event for each node, in the order of execution, until most of the time limit is spent.

    Raises:
        UsageError: the variant has no calibration data.
    """
    named = job.calibration
    if named is None:
        raise UsageError("the check 'sensitivity' needs a variant with calibration data.")
    started = time.perf_counter()
    with open_session(job) as session:
        announce(session, events, (time.perf_counter() - started) * 1e3)
    reference = golden.read(Path(job.goldens), job.golden)
    renames = job.rename_inputs
    batches = [
        {renames.get(name, name): array for name, array in reference.inputs(step).items()}
        for step in spread_steps(len(reference.steps), _STEPS)
    ]
    calibration = CalibrationData.of(named, job.seed, Path(job.folder))
    with tempfile.TemporaryDirectory(prefix="assay-sensitivity-") as scratch:
        entries = sensitivities(
            Path(job.base), job.recipe_options, calibration, batches, Path(scratch), job.timeout_s * _SHARE
        )
        known = []
        for entry in entries:
            if entry["position"] < 0:
                if entry["without_sqnr_db"] is not None:
                    _figure(events, "all_nodes_sqnr_db", entry["without_sqnr_db"], 1)
                continue
            events.emit(NodeMeasured(**entry))
            if entry["alone_sqnr_db"] is not None:
                known.append(entry)
    if known:
        worst = min(known, key=lambda entry: float(entry["alone_sqnr_db"]))
        _figure(events, "node_sqnr_db", worst["alone_sqnr_db"], len(known))
        events.emit(
            Noticed(
                kind="most_sensitive",
                subject=worst["node"],
                severity="note",
                message=(
                    f"{worst['op_type']} {worst['node']} alone costs most: {worst['alone_sqnr_db']:.1f} dB"
                    " at the outputs when nothing else is quantized"
                ),
            )
        )


def _figure(events: Events, metric: str, value: float, n: int) -> None:
    events.emit(Measured(metric=metric, value=value, low=None, high=None, n=n, provenance="measured"))
