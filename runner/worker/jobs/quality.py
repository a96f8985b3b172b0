"""How good a model is at its task, and what it loses against its reference on the same items."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from assay.runner.errors import UsageError
from assay.runner.quality.degradation import Counts, Interval, degradation, jackknifed, mcnemar
from assay.runner.quality.tasks import Evaluator, class_values, evaluator_for
from assay.runner.quality.thresholds import RETRAIN
from assay.runner.tensors import Array
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import Measured
from assay.runner.worker.events.rows import ClassMeasured, Noticed
from assay.runner.worker.job import CaseJob
from assay.runner.worker.jobs.session import Renamed, announce, open_session
from assay.runner.workloads import golden, stream
from assay.runner.workloads.asked import Task, Workload
from assay.schema.metrics import AVERAGE_PRECISIONS, MAP_50_95, METRICS, PRIMARY

_NORMAL = 1.96


@dataclass(frozen=True, slots=True)
class _Sides:
    task: Task
    mine: Any
    right: Any
    """Evaluators of the candidate and of the reference."""


def run(job: CaseJob, events: Events) -> None:
    """Answers of the candidate and of the reference to the same labelled batches; figures with intervals are events.

    Raises:
        UsageError: the workload has no labels or no task.
    """
    workload = Workload.model_validate(job.workload)
    if workload.task is None or not workload.labels:
        raise UsageError("the check 'quality' needs a workload with labels and a task.")
    started = time.perf_counter()
    with open_session(job) as session:
        announce(session, events, (time.perf_counter() - started) * 1e3)
        renamed = Renamed(session, job.rename_inputs, job.rename)
        sides = _Sides(workload.task, evaluator_for(workload.task), evaluator_for(workload.task))
        reference = golden.read(Path(job.goldens), job.golden)
        labelled = stream(workload, seed=job.seed, folder=Path(job.folder))
        steps = range(len(reference.steps))
        for step, (_, labels) in zip(steps, labelled, strict=False):
            sides.mine.add(renamed.infer(reference.inputs(step)), labels)
            sides.right.add(reference.outputs(step), labels)
    _report(events, sides)


def _report(events: Events, sides: _Sides) -> None:
    ours, theirs = sides.mine.counts(), sides.right.counts()
    primary = PRIMARY[sides.task.kind]
    for metric, counts in ours.items():
        made = degradation(counts, theirs[metric], better=METRICS[metric].better)
        if made is None:
            continue
        _tell(events, metric, made.candidate, made.drop, made.relative, made.reference, primary == metric)
        if metric == "top1":
            _discordant(events, counts, theirs[metric])
    if hasattr(sides.mine, "average_precision"):
        _average_precision(events, sides)
    _classes(events, sides, ours, theirs)
    _agreement(events, sides.mine, sides.right)


def _tell(
    events: Events,
    metric: str,
    value: Interval,
    drop: Interval,
    relative: Interval | None,
    reference: float,
    primary: bool,
) -> None:
    _figure(events, metric, value, "measured")
    _figure(events, f"{metric}_drop", drop, "derived")
    if relative is not None:
        _figure(events, f"{metric}_drop_relative", relative, "derived")
    if not primary:
        return
    _figure(events, "quality_drop", drop, "derived")
    if relative is None:
        return
    _figure(events, "quality_drop_relative", relative, "derived")
    if relative.value > RETRAIN:
        sure = relative.low is not None and relative.low > RETRAIN
        interval = "" if relative.low is None else f" [{relative.low:.2%}, {relative.high:.2%}]"
        advice = (
            "quantization-aware training, another calibration or selective quantization is worth it"
            if sure
            else "the interval does not exclude less than 2 %: label more items before retraining"
        )
        events.emit(
            Noticed(
                kind="consider_qat",
                subject=metric,
                severity="warning",
                message=(
                    f"{metric} is {value.value:.4g}, the reference's {reference:.4g}: {relative.value:.2%}{interval}"
                    f" worse; {advice}"
                ),
            )
        )


def _discordant(events: Events, counts: Counts, reference: Counts) -> None:
    lost, won, p = mcnemar(counts.numerator[:, 0] > 0, reference.numerator[:, 0] > 0)
    n = len(counts.numerator)
    _figure(events, "mcnemar_p", Interval(p, None, None, n), "derived")
    if lost + won:
        events.emit(
            Noticed(
                kind="discordant_items",
                subject="top1",
                severity="note",
                message=(
                    f"{lost} items that the reference has right are lost and {won} are won, of {n}: exact McNemar p ="
                    f" {p:.3g}"
                ),
            )
        )


def _average_precision(events: Events, sides: _Sides) -> None:
    """AP is no sum over images: values and differences have jackknife intervals."""
    images = len(sides.mine.images)
    for metric in AVERAGE_PRECISIONS:
        of = _Precision(sides, metric)
        value, error = jackknifed(of.mine, images)
        reference = of.right(np.arange(images))
        lost, share = jackknifed(of.lost, images), jackknifed(of.share, images)
        if value is None or reference is None or lost[0] is None:
            continue
        relative = None if share[0] is None else _around(share[0], share[1], images)
        _tell(
            events,
            metric,
            _around(value, error, images),
            _around(lost[0], lost[1], images),
            relative,
            reference,
            metric == PRIMARY["detection"],
        )


class _Precision:
    """One AP of both sides over chosen images; each choice is evaluated once for all of them."""

    _known: ClassVar[dict[tuple[int, int, bytes], dict[str, float | None]]] = {}

    def __init__(self, sides: _Sides, metric: str) -> None:
        self._sides, self._metric = sides, metric

    def _of(self, evaluator: Any, chosen: Array) -> float | None:
        key = (id(evaluator), len(chosen), chosen.tobytes())
        if key not in self._known:
            self._known[key] = evaluator.average_precision(chosen)
        return self._known[key][self._metric]

    def mine(self, chosen: Array) -> float | None:
        return self._of(self._sides.mine, chosen)

    def right(self, chosen: Array) -> float | None:
        return self._of(self._sides.right, chosen)

    def lost(self, chosen: Array) -> float | None:
        mine, right = self.mine(chosen), self.right(chosen)
        return None if mine is None or right is None else right - mine

    def share(self, chosen: Array) -> float | None:
        right, lost = self.right(chosen), self.lost(chosen)
        return None if not right or lost is None else lost / right


def _around(value: float, error: float | None, n: int) -> Interval:
    if error is None:
        return Interval(value, None, None, n)
    return Interval(value, value - _NORMAL * error, value + _NORMAL * error, n)


def _classes(events: Events, sides: _Sides, ours: dict[str, Counts], theirs: dict[str, Counts]) -> None:
    if hasattr(sides.mine, "class_precision"):
        found = {MAP_50_95: (sides.mine.class_precision(), sides.right.class_precision())}
    else:
        right = class_values(sides.task, theirs)
        found = {metric: (values, right[metric]) for metric, values in class_values(sides.task, ours).items()}
    for metric, (values, references) in found.items():
        known = {name: value for name, value, _ in references}
        for name, value, n in values:
            events.emit(
                ClassMeasured(metric=metric, class_name=name, value=value, reference_value=known.get(name), n=n)
            )


def _agreement(events: Events, mine: Evaluator, right: Evaluator) -> None:
    """How often both give the same answer, right or wrong."""
    one, other = mine.answers(), right.answers()
    if not one or len(one) != len(other) or any(a.shape != b.shape for a, b in zip(one, other, strict=True)):
        return
    same = np.array([[np.count_nonzero(a == b)] for a, b in zip(one, other, strict=True)], np.float64)
    asked = np.array([[a.size] for a in one], np.float64)
    made = degradation(Counts(same, asked), Counts(asked, asked), better="higher")
    if made is not None:
        _figure(events, "agreement", made.candidate, "derived")


def _figure(events: Events, metric: str, interval: Interval, provenance: str) -> None:
    events.emit(
        Measured(
            metric=metric,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            n=interval.n,
            provenance=provenance,
        )
    )
