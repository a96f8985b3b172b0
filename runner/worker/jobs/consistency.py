"""Does the candidate agree with itself.

Twice, row by row, in another order, on other threads, opened anew? No reference needed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from assay.runner.parity.alone import apart, row_axis, row_of
from assay.runner.parity.comparison import OutputComparison
from assay.runner.rules.contract import Contract
from assay.runner.rules.policy import Policy
from assay.runner.tensors import Tensors
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import LargestErrors, Noted, ReceiptGiven
from assay.runner.worker.events.rows import Scattered
from assay.runner.worker.job import CaseJob
from assay.runner.worker.jobs.session import (
    Renamed,
    announce,
    contract_of,
    open_session,
    spread_steps,
    with_itself,
)
from assay.runner.workloads import golden

_STEPS = 8
_ROWS = 4
_ODD_ROWS = 3
Pair = tuple[Tensors, Tensors]


def run(job: CaseJob, events: Events) -> None:
    """For each way to disagree with itself: receipts, and how far the outputs move."""
    recorded = golden.read(Path(job.goldens), job.golden)
    steps = [recorded.inputs(step) for step in spread_steps(len(recorded.steps), _STEPS)]
    contract = contract_of(job)
    started = time.perf_counter()
    with open_session(job) as opened:
        announce(opened, events, (time.perf_counter() - started) * 1e3)
        session = Renamed(opened, job.rename_inputs, job.rename)
        _tell(job, events, "repeat", lambda: [(session.infer(step), session.infer(step)) for step in steps])
        rows = batch_axes(contract, steps)
        batches = list(batched(steps, rows))
        if batches:
            _tell(job, events, "batch", lambda: list(_alone_and_together(session, batches, rows)))
            _tell(job, events, "permuted", lambda: list(_permuted(session, batches, rows)))
        else:
            events.emit(Noted(message="no batch axis: rows cannot be compared with a batch of them"))
        if opened.placement().device == "cpu":
            _tell(job, events, "threads", lambda: _other_session(job, session, steps, {"threads": 1}))
        _tell(job, events, "rebuilt", lambda: _rebuilt(job, session, steps))
        if job.options.get("refit"):
            _tell(job, events, "refitted", lambda: _refitted(job, session, steps))


def _rebuilt(job: CaseJob, session: Renamed, steps: list[Tensors]) -> list[Pair]:
    """Against the model opened anew; an engine is built anew from its ONNX file, its tactics timed again."""
    if job.source["kind"] != "engine":
        return _other_session(job, session, steps, {})
    from assay.runner.worker.jobs.engine import make

    with tempfile.TemporaryDirectory() as folder:
        made = make(job, job.engine_options, job.onnx, "rebuilt", Path(folder))
        source = {**job.source, "location": str(made.path), "sha256": made.file_sha256}
        return _other_session(replace(job, source=source), session, steps, {})


def _refitted(job: CaseJob, session: Renamed, steps: list[Tensors]) -> list[Pair]:
    """Against the engine with the weights of its own ONNX file put in again."""
    with open_session(job) as other:
        fitted: Any = other
        fitted.refit(Path(job.onnx))
        anew = Renamed(other, job.rename_inputs, job.rename)
        return [(session.infer(step), anew.infer(step)) for step in steps]


def _other_session(job: CaseJob, session: Renamed, steps: list[Tensors], options: dict[str, Any]) -> list[Pair]:
    with open_session(replace(job, options={**job.options, **options})) as other:
        anew = Renamed(other, job.rename_inputs, job.rename)
        return [(session.infer(step), anew.infer(step)) for step in steps]


def _tell(job: CaseJob, events: Events, source: str, pairs: Callable[[], list[Pair]]) -> None:
    """Compare pairs of outputs that should be one, under the case's tolerance."""
    try:
        made = pairs()
    except Exception as error:  # noqa: BLE001  a batch that a model refuses is told; the other ways go on
        events.emit(
            Scattered(
                source=source,
                output="",
                n=0,
                max_abs=None,
                p999_abs=None,
                rel_l2=None,
                atol=None,
                rtol=None,
                problem=f"{type(error).__name__}: {str(error)[:300]}",
            )
        )
        return
    compared = OutputComparison(with_itself(Policy.model_validate(job.policy)), {})
    largest: dict[str, list[float]] = {}
    for number, (first, second) in enumerate(made):
        for receipt in compared.step(number, first, second):
            if receipt["max_abs"] is not None:
                largest.setdefault(receipt["output"], []).append(receipt["max_abs"])
    for receipt in compared.merged():
        events.emit(ReceiptGiven({**receipt, "mode": source}))
        events.emit(
            Scattered(
                source=source,
                output=receipt["output"],
                n=receipt["elements"],
                max_abs=receipt["max_abs"],
                p999_abs=receipt["p999_abs"],
                rel_l2=receipt["rel_l2"],
                atol=None,
                rtol=None,
                problem=receipt["problem"],
            )
        )
    for output, maxima in largest.items():
        events.emit(LargestErrors(source=source, output=output, values=maxima))


def batch_axes(contract: Contract, steps: list[Tensors]) -> dict[str, int]:
    """Input -> axis along which rows stand side by side.

    The contract's symbol B, else axis 0 where all inputs share its size.

    Scalars, and inputs without that axis, take no part. Empty when there is none.
    """
    named = {name: list(port.shape).index("B") for name, port in contract.inputs.items() if "B" in port.shape}
    if named or not steps:
        return named
    sizes = {array.shape[0] for array in steps[0].values() if array.ndim}
    return {name: 0 for name, array in steps[0].items() if array.ndim} if len(sizes) == 1 else {}


def batched(steps: list[Tensors], rows: dict[str, int]) -> Iterator[Tensors]:
    """Batches of a few rows, even and odd, in which no row is another one again.

    The workload's own and their first rows, or steps of equal shapes side by side.
    """
    if not rows:
        return
    name, axis = next(iter(rows.items()))
    own = [step for step in steps if step[name].shape[axis] > 1]
    for number, step in enumerate(own):
        yield (whole := apart(step, rows))
        count = step[name].shape[axis]
        if number == 0 and count > 2:  # and the other kind of number
            yield _first_rows(whole, rows, _ODD_ROWS if count % 2 == 0 else count - 1)
    if own:
        return
    groups: dict[str, list[Tensors]] = {}
    for step in steps:
        groups.setdefault(str([array.shape for array in step.values()]), []).append(step)
    for group in groups.values():
        for count in sorted({min(len(group), _ROWS), min(len(group), _ODD_ROWS)} - {1}):
            few = group[:count]
            side_by_side = {
                n: np.concatenate([step[n] for step in few], axis=rows[n]) if n in rows else a
                for n, a in few[0].items()
            }
            yield apart(side_by_side, rows)


def _first_rows(inputs: Tensors, rows: dict[str, int], count: int) -> Tensors:
    return {n: np.take(a, range(count), axis=rows[n]) if n in rows else a for n, a in inputs.items()}


def _alone_and_together(session: Renamed, batches: list[Tensors], rows: dict[str, int]) -> Iterator[Pair]:
    """Each row by itself against the same row in its batch; and a batch of one row repeated against that row."""
    for inputs in batches:
        name, axis = next(iter(rows.items()))
        count = inputs[name].shape[axis]
        together = session.infer(inputs)
        for row in range(min(count, _ROWS)):
            one = row_of(inputs, rows, row)
            alone = session.infer(one)
            yield alone, _pick(together, alone, count, row)
        same = {n: np.repeat(a, count, axis=rows[n]) if n in rows else a for n, a in one.items()}
        repeated = session.infer(same)
        for row in range(min(count, _ROWS)):
            yield alone, _pick(repeated, alone, count, row)


def _pick(together: Tensors, alone: Tensors, count: int, row: int) -> Tensors:
    picked = {}
    for name, array in together.items():
        axis = row_axis(array, alone[name], count)
        picked[name] = array if axis is None else np.take(array, [row], axis=axis)
    return picked


def _permuted(session: Renamed, batches: list[Tensors], rows: dict[str, int]) -> Iterator[Pair]:
    """The rows of a batch in reverse order, brought back into order."""
    for inputs in batches:
        name, axis = next(iter(rows.items()))
        count = inputs[name].shape[axis]
        turned = session.infer({n: np.flip(a, axis=rows[n]).copy() if n in rows else a for n, a in inputs.items()})
        straight, alone = session.infer(inputs), session.infer(row_of(inputs, rows, 0))
        back = {}
        for output, array in turned.items():
            along = row_axis(array, alone[output], count)
            back[output] = array if along is None else np.flip(array, axis=along)
        yield straight, back
