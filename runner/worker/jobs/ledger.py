"""The layer ledger of a quantized ONNX file, and how the ranges of its calibration came about."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assay.runner.errors import UsageError
from assay.runner.graphs import simulate
from assay.runner.graphs.quantized_graph import Pair
from assay.runner.quality import ledger
from assay.runner.quality.quantized_activations import activations
from assay.runner.quality.ranges import learnt, looks_drawn
from assay.runner.quality.taps import Tapped
from assay.runner.quality.thresholds import lost_by_kernels, poor_tensors
from assay.runner.recipes.calibration import CalibrationData
from assay.runner.tensors import Tensors
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import Measured
from assay.runner.worker.events.rows import CodesSeen, Noticed, RangeLearnt
from assay.runner.worker.job import CaseJob, Facts
from assay.runner.worker.jobs.session import announce, open_session
from assay.runner.workloads import golden

_INFLUENCE = 0.2
"""One batch that makes this share of a range decides it."""
_CLIPPED = 0.01
_FEW_CODES = 16
_MANY_TO_ONE = 16
"""Values to a code from which a range is called stretched."""


def run(job: CaseJob, events: Events) -> None:
    """Weights, then activations over the workload, then the ranges of the calibration data; each entry is an event.

    Raises:
        UsageError: the workload is empty.
    """
    started = time.perf_counter()
    with open_session(job) as session:
        announce(session, events, (time.perf_counter() - started) * 1e3)
    reference = golden.read(Path(job.goldens), job.golden)
    if not reference.steps:
        raise UsageError("the workload is empty: there is nothing to see activations on.")
    renames = job.rename_inputs

    def batches() -> Iterator[Tensors]:
        for step in range(len(reference.steps)):
            yield {renames.get(name, name): array for name, array in reference.inputs(step).items()}

    with tempfile.TemporaryDirectory(prefix="assay-ledger-") as scratch:
        original, quantized = _float_original(job, Path(scratch)), Path(job.source["location"])
        pair = Pair(original, quantized, next(batches()))
        plain = _simulated(quantized, Path(scratch))
        entries = [
            *ledger.weight_entries(pair),
            *ledger.activation_entries(
                pair, original, plain, quantized, batches(), job.options.get("graph_optimization", "all")
            ),
        ]
        distinct = {str(entry["name"]): entry.pop("distinct", 0) for entry in entries}
        for position, entry in enumerate(entries):
            events.emit(CodesSeen(position=position, **entry))
        _tell(events, entries)
        _kernels(events, entries)
        _stretched(events, entries, distinct)
        if job.calibration:
            _ranges(job, job.calibration, events, pair, original)


def _float_original(job: CaseJob, scratch: Path) -> Path:
    """The file that was quantized, prepared as the quantizer prepares it: fused nodes have other weights."""
    base = Path(job.base)
    if not job.recipe.startswith("onnxruntime") or not job.recipe_options.get("preprocess", True):
        return base
    from assay.runner.graphs.preparation import prepare

    return prepare(base, scratch, fold=True)


def _simulated(quantized: Path, scratch: Path) -> Path | None:
    """A form whose nodes, as they are written, compute in float: Q/DQ graphs are one.

    Integer products are rewritten.
    """
    kinds = set(simulate.integer_operators(quantized))
    if kinds <= {"DequantizeLinear"}:
        return quantized
    if kinds & {"MatMulInteger", "ConvInteger"} and not any(kind.startswith(("QLinear", "QGemm")) for kind in kinds):
        made = scratch / "simulated.onnx"
        return made if simulate.in_float(quantized, made) else None
    return None


def _tell(events: Events, entries: list[dict[str, Any]]) -> None:
    """Figures over the whole ledger, and what stands out in it."""
    weights = [e for e in entries if e["kind"] == "weight"]
    activations = [e for e in entries if e["kind"] == "activation"]
    for kind, chosen in (("weight", weights), ("activation", activations)):
        known = [e for e in chosen if e["sqnr_db"] is not None]
        if known:
            worst = min(known, key=lambda e: float(e["sqnr_db"]))
            events.emit(
                Measured(
                    metric=f"{kind}_sqnr_db",
                    value=worst["sqnr_db"],
                    low=None,
                    high=None,
                    n=len(known),
                    provenance="measured",
                )
            )
    if weights:
        elements = sum(e["elements"] for e in weights)
        stored = sum(e["stored_bytes"] for e in weights)
        mean = sum(e["mean_abs"] * e["elements"] for e in weights if e["mean_abs"] is not None) / elements
        largest = max(e["max_abs"] for e in weights if e["max_abs"] is not None)
        for metric, value in (
            ("weight_max_abs", largest),
            ("weight_mean_abs", mean),
            ("quantized_bits_per_weight", 8 * stored / elements),
        ):
            events.emit(
                Measured(metric=metric, value=value, low=None, high=None, n=len(weights), provenance="measured")
            )
    for entry in poor_tensors(entries):
        events.emit(
            Noticed(
                kind="poor_tensor",
                subject=entry["name"],
                severity="warning",
                message=(
                    f"{entry['kind']} {entry['name']} of {entry['node']} ({entry['scheme']}): {entry['sqnr_db']:.1f} dB"
                    " by itself; a candidate for exclusion"
                ),
            )
        )
    for entry in entries:
        if isinstance(entry["clipped"], float) and entry["clipped"] > _CLIPPED and entry["kind"] == "activation":
            events.emit(
                Noticed(
                    kind="clipped",
                    subject=entry["name"],
                    severity="warning",
                    message=(
                        f"{entry['clipped']:.1%} of {entry['name']} lie beyond the range that was learnt: the"
                        " calibration data do not show what comes"
                    ),
                )
            )


def _kernels(events: Events, entries: list[dict[str, Any]]) -> None:
    """What the kernels lose of what the codes keep, at the last tensor that is known both ways."""
    if last := lost_by_kernels(entries):
        events.emit(
            Noticed(
                kind="executed_worse_than_simulated",
                subject=last["name"],
                severity="warning",
                message=(
                    f"{last['name']}: {last['accumulated_sqnr_db']:.1f} dB with every node as it is written,"
                    f" {last['executed_sqnr_db']:.1f} dB by the kernels that run: they saturate or round, as u8s8 ones"
                    " do on x86 without VNNI; try reduce_range or weights of uint8"
                ),
            )
        )


def _stretched(events: Events, entries: list[dict[str, Any]], distinct: dict[str, int]) -> None:
    """Activations of many values that few codes are left for.

    Their signal-to-noise may look good, since what stretches the range is all of the power.
    """
    for entry in entries:
        used, levels = entry["used_levels"], entry["levels"]
        if entry["kind"] != "activation" or not isinstance(used, int) or not isinstance(levels, int):
            continue
        if used <= _FEW_CODES < levels and distinct[str(entry["name"])] > _MANY_TO_ONE * used:
            low, high = entry["expected_min"], entry["expected_max"]
            events.emit(
                Noticed(
                    kind="stretched_range",
                    subject=entry["name"],
                    severity="warning",
                    message=(
                        f"{entry['name']} of {entry['node']}: its values fall on {used} of {levels} codes, because the"
                        f" range from {low:.3g} to {high:.3g} is stretched by a few of them (a mask?); leave"
                        f" {entry['node']} in float"
                    ),
                )
            )


def _ranges(job: CaseJob, named: Facts, events: Events, pair: Pair, original: Path) -> None:
    """Ranges of the original's activations over the calibration data, in a pass of their own."""
    calibration = CalibrationData.of(named, job.seed, Path(job.folder))
    if why := _random(calibration):
        events.emit(
            Noticed(
                kind="random_calibration",
                subject=named["name"],
                severity="warning",
                message=f"ranges were learnt from {named['name']!r}, {why}: real inputs may have other ranges",
            )
        )
    sites = activations(pair)
    if not sites:
        return  # weights alone: no range was learnt
    extremes = _extremes(calibration, [site.tensor for site in sites], original)
    found = {name: made for name, seen in extremes.items() if (made := learnt(seen)) is not None}
    for name, made in found.items():
        events.emit(RangeLearnt(name=name, **asdict(made)))
    unsettled = [name for name, made in found.items() if made.settled_at == made.batches > 1]
    if unsettled:
        events.emit(
            Noticed(
                kind="calibration_not_settled",
                subject=named["name"],
                severity="warning",
                message=(
                    f"the ranges of {len(unsettled)} of {len(found)} activations still grow with the last batch"
                    f" ({', '.join(unsettled[:3])}): calibrate on more data"
                ),
            )
        )
    decided = [name for name, made in found.items() if made.batches > 2 and made.influence > _INFLUENCE]
    if decided:
        most = max(decided, key=lambda name: found[name].influence)
        events.emit(
            Noticed(
                kind="calibration_outlier",
                subject=named["name"],
                severity="warning",
                message=(
                    f"one batch makes more than {_INFLUENCE:.0%} of the range of {len(decided)} of {len(found)}"
                    f" activations; most in {most}: {found[most].influence:.0%} by batch {found[most].widest_batch}"
                ),
            )
        )


def _random(calibration: CalibrationData) -> str:
    """Why the data are taken for drawn numbers; "" where they are not."""
    if calibration.is_random:
        return "whose values are drawn and no data"
    first = next(calibration.batches(), {})
    kinds = {name: looks_drawn(array) for name, array in first.items() if array.ndim and array.dtype.kind in "fiu"}
    return next(
        (f"whose values of {name!r} look like {kind} random numbers" for name, kind in kinds.items() if kind), ""
    )


def _extremes(calibration: CalibrationData, tensors: list[str], original: Path) -> dict[str, list[tuple[float, float]]]:
    """Lowest and highest value of each tensor in each batch."""
    extremes: dict[str, list[tuple[float, float]]] = {name: [] for name in tensors}
    with Tapped(original, list(extremes)) as session:
        for batch in calibration.batches():
            for name, array in session.run(batch).items():
                if array.size:
                    extremes[name].append((float(array.min()), float(array.max())))
    return extremes
