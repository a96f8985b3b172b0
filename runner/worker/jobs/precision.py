"""In which precision a case really computed; and where that is wider than its file says, what the file's own makes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from assay.runner.graphs import arithmetic, audit, inlined, rounded
from assay.runner.graphs.element_types import typed_nodes
from assay.runner.graphs.precision import HALVES, widened
from assay.runner.parity.comparison import OutputComparison
from assay.runner.rules.policy import Policy
from assay.runner.session import Session
from assay.runner.tensors import Array, Tensors, dtype_named
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import ArithmeticSeen, ReceiptGiven
from assay.runner.worker.job import CaseJob
from assay.runner.worker.jobs.session import open_session, probe_receipts, spread_steps
from assay.runner.workloads import golden

_MOST_BYTES = 1 << 30
"""Of a file: larger ones are not evaluated in a second way, which holds their weights once more, in float32."""
_MOST_SECONDS = 60.0
"""No further step is evaluated after this."""


def look(job: CaseJob, events: Events, session: Session, expected: golden.Golden, policy: Policy) -> None:
    """Say what the session computes in; evaluate a few steps as the file says it, where the session does not."""
    executed = session.arithmetic(_named(job, expected.inputs(0)))
    stored, steps, why = None, 0, None
    if job.source["kind"] == "onnx":
        stored = arithmetic.stored(typed_nodes(inlined.load(Path(job.source["location"]), weights=False))).facts()
        if executed is not None and widened(stored, executed):
            steps, why = _evaluate(job, events, expected, policy)
    events.emit(ArithmeticSeen(stored=stored, executed=executed, rounded_steps=steps, not_rounded=why))


def _named(job: CaseJob, inputs: Tensors) -> Tensors:
    return {job.rename_inputs.get(name, name): array for name, array in inputs.items()}


def _evaluate(job: CaseJob, events: Events, expected: golden.Golden, policy: Policy) -> tuple[int, str | None]:
    """Receipts of the file's own rounding: how many steps, and why there are none."""
    path = Path(job.source["location"])
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    if size > _MOST_BYTES:
        return 0, f"of files up to {_MOST_BYTES >> 30} GiB only, and this one has {size / 2**30:.1f}"
    compared = OutputComparison(policy, {})
    try:
        steps = _steps(job, events, path, expected, compared)
    except Exception as error:  # noqa: BLE001  there is no second way to evaluate it: the case stands, and says so
        return 0, f"{type(error).__name__}: {str(error)[:300]}"
    for receipt in probe_receipts(compared, "rounded"):
        events.emit(ReceiptGiven(receipt))
    return steps, None


def _steps(job: CaseJob, events: Events, path: Path, expected: golden.Golden, compared: OutputComparison) -> int:
    """A few steps, as many as there is time for."""
    started, steps = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "rounded.onnx"
        ports = audit.ports(path)["outputs"] if rounded.write(path, target) else {}
        options = {"graph_optimization": "none", "session": {"session.disable_quant_qdq": "1"}}
        options |= {"threads": job.options["threads"]} if job.options.get("threads") else {}
        # Codes alone need no other file: QuantizeLinear rounds by itself.
        source = {**job.source, "location": str(target if ports else path)}
        with open_session(replace(job, backend="onnxruntime", options=options, source=source)) as session:
            for number in spread_steps(len(expected.steps)):
                if time.monotonic() - started > _MOST_SECONDS:
                    break
                inputs = {
                    name: _in_float32(array) if ports else array for name, array in expected.inputs(number).items()
                }
                made = session.infer(_named(job, inputs))
                actual = {
                    job.rename.get(name, name): array.astype(dtype_named(ports[name]["dtype"])) if ports else array
                    for name, array in made.items()
                }
                for receipt in compared.step(number, expected.outputs(number), actual):
                    events.emit(ReceiptGiven({**receipt, "mode": "rounded"}))
                steps += 1
    return steps


def _in_float32(array: Array) -> Array:
    """What the rewritten file takes: its 16-bit inputs in float32."""
    return array.astype("float32") if array.dtype.name in HALVES else array
