"""Accuracy fell because of calibration, kernels, single tensors, nodes or classes, or the way of quantizing. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from assay.runner.quality.thresholds import FLOAT, GAP_DB, POOR_DB, RETRAIN, lost_by_kernels, poor_tensors
from assay.runner.reports.doctor.diagnosis import Diagnosis, DoctorFacts, Row, few
from assay.runner.suites.checks import recorded_as
from assay.schema.metrics import QUALITY_DROP_RELATIVE

_PROBLEM = "accuracy fell"
_RANGES = {
    "stretched_range": "a few values stretch a range until the others have no codes left",
    "clipped": "values lie beyond the ranges that were learnt",
}
_DATA = {
    "random_calibration": "ranges were learnt from numbers that were drawn",
    "calibration_outlier": "one calibration batch decides the ranges",
    "calibration_not_settled": "there may be too few calibration data",
}
"""Findings on ranges and on calibration data, and what each means."""
_REMEDIES = {"stretched_range": "leave these nodes in float: op_types without additions and softmaxes, or assay search"}
_MORE_DATA = "calibrate on more data, like those that come (100 to 1000 samples)"


def accuracy(facts: DoctorFacts) -> list[Diagnosis]:
    """A diagnosis for each cause of each quantized case that lost more than 2 %, or has too few items to say."""
    drops = {row["case_id"]: row for row in facts.measured if row["metric"] == QUALITY_DROP_RELATIVE}
    made: list[Diagnosis] = []
    for case in recorded_as("quality", facts.cases):
        drop = drops.get(case["case_id"])
        if case["variant"] in FLOAT or drop is None or drop["value"] <= RETRAIN:
            continue
        if drop["low"] is not None and drop["low"] <= 0:
            made.append(_few_items(case, drop))
            continue
        causes = [*_causes(facts, case, drops)]
        made += causes or [
            Diagnosis(
                _PROBLEM,
                case["name"],
                "not explained",
                f"{_lost(drop)}; no ledger of this variant is in the run",
                'add check = "ledger" for this variant: it names the tensors',
            )
        ]
    return made


def _few_items(case: Row, drop: Row) -> Diagnosis:
    return Diagnosis(
        _PROBLEM,
        case["name"],
        "there are too few items to say that it did",
        f"{_lost(drop)} on {drop['n']} items: nothing lost is not excluded",
        "label more items",
    )


def _causes(facts: DoctorFacts, case: Row, drops: dict[str, Row]) -> Iterator[Diagnosis]:
    kin = facts.kin(case)
    tensors = [row for row in facts.tensors if row["case_id"] in kin]
    lost = _lost(drops[case["case_id"]])
    findings = facts.found(case)
    ways = (
        _kernels(tensors),
        _told(findings, _RANGES),
        _fall(tensors),
        _node(facts, kin),
        _poor(tensors),
        _classes(facts, case),
        _siblings(facts, case, drops),
        _told(findings, _DATA),
    )
    for way in ways:
        for because, evidence, remedy in way:
            yield Diagnosis(_PROBLEM, case["name"], because, f"{lost}; {evidence}", remedy)


def _lost(drop: Row) -> str:
    ends = "" if drop["low"] is None else f" [{drop['low']:.1%}, {drop['high']:.1%}]"
    return f"{drop['value']:.1%}{ends} lost"


Way = Iterator[tuple[str, str, str]]
"""(because, evidence, remedy)"""


def _told(findings: Sequence[Row], meanings: dict[str, str]) -> Way:
    for kind, meaning in meanings.items():
        some = [f for f in findings if f["kind"] == kind]
        if some:
            more = f" (and {len(some) - 1} more tensors)" if len(some) > 1 else ""
            yield (
                meaning,
                some[0]["message"] + more,
                _REMEDIES.get(kind, _MORE_DATA),
            )


def _kernels(tensors: Sequence[Row]) -> Way:
    """The last tensor that is known both ways says what the kernels lost of what the codes would have kept."""
    if last := lost_by_kernels(_in_order(tensors)):
        yield (
            "the kernels lose what the codes keep: they saturate or round",
            (
                f"{last['name']}: {last['accumulated_sqnr_db']:.1f} dB with exact products,"
                f" {last['executed_sqnr_db']:.1f} dB as executed"
            ),
            "reduce_range = true, weights of uint8, or a CPU with VNNI",
        )


def _poor(tensors: Sequence[Row]) -> Way:
    poor = sorted(poor_tensors(tensors), key=lambda t: float(t["sqnr_db"]))
    if poor:
        words = [f"{t['name']} ({t['kind']} of {t['op_type']} {t['node']}) {t['sqnr_db']:.1f} dB" for t in poor]
        yield (
            (
                "a tensor does not fit into its codes"
                if len(poor) == 1
                else f"{len(poor)} tensors do not fit into their codes"
            ),
            few(words),
            "another calibration method, scales per channel, or leave these nodes in float: assay search finds which",
        )


def _fall(tensors: Sequence[Row]) -> Way:
    """Where the signal is lost on the way, though no tensor is poor by itself."""
    path = [t for t in _in_order(tensors) if t["executed_sqnr_db"] is not None and math.isfinite(t["executed_sqnr_db"])]
    falls = [(a, b, a["executed_sqnr_db"] - b["executed_sqnr_db"]) for a, b in itertools.pairwise(path)]
    if not falls:
        return
    before, after, fall = max(falls, key=lambda pair: pair[2])
    if fall > 2 * GAP_DB and after["executed_sqnr_db"] < POOR_DB:
        alone = "" if after["sqnr_db"] is None else f", {after['sqnr_db']:.1f} dB by itself"
        yield (
            f"the signal is lost at {after['op_type']} {after['node']}",
            (
                f"{before['name']}: {before['executed_sqnr_db']:.1f} dB; next {after['name']}:"
                f" {after['executed_sqnr_db']:.1f} dB{alone}"
            ),
            f"leave {after['node']} and what feeds it in float: assay search measures it",
        )


def _node(facts: DoctorFacts, kin: set[str]) -> Way:
    rows = [row for row in facts.sensitivities if row["case_id"] in kin]
    everything = next((row["without_sqnr_db"] for row in rows if row["position"] < 0), None)
    gains = [
        (row["without_sqnr_db"] - everything, row)
        for row in rows
        if row["position"] >= 0 and everything is not None and row["without_sqnr_db"] is not None
    ]
    if not gains:
        return
    gain, best = max(gains, key=lambda pair: pair[0])
    if gain > GAP_DB:
        yield (
            f"{best['op_type']} {best['node']} does not bear it",
            (
                f"the outputs have {everything:.1f} dB with everything quantized, {best['without_sqnr_db']:.1f} dB with"
                " this node left in float"
            ),
            f'nodes_to_exclude = ["{best["node"]}"], or assay search for the best set',
        )


def _siblings(facts: DoctorFacts, case: Row, drops: dict[str, Row]) -> Way:
    """Another variant of the same model keeps what this one loses: it is the way of quantizing, not the model."""
    mine = drops[case["case_id"]]
    others = [
        (drops[other["case_id"]], other)
        for other in recorded_as("quality", facts.cases)
        if other["case_id"] in drops
        and other["variant"] not in (*FLOAT, case["variant"])
        and (other["model"], other["model_version"], other["workload_sha256"])
        == (case["model"], case["model_version"], case["workload_sha256"])
    ]
    kept = [
        (drop, other)
        for drop, other in others
        if drop["value"] <= RETRAIN
        and drop["high"] is not None
        and mine["low"] is not None
        and drop["high"] < mine["low"]
    ]
    if not kept:
        return
    same = case["calibration_sha256"]
    best, other = min(kept, key=lambda pair: (pair[1]["calibration_sha256"] != same, float(pair[0]["value"])))
    data = "with the same calibration data" if other["calibration_sha256"] == same else "with other calibration data"
    told = data if same and other["calibration_sha256"] else "without learnt ranges"
    yield (
        "of the way of quantizing, not of the model",
        (
            f"{other['variant']} loses {best['value']:.1%} [{best['low']:.1%}, {best['high']:.1%}] on the same items,"
            f" {told}"
        ),
        f"use {other['variant']}",
    )


def _classes(facts: DoctorFacts, case: Row) -> Way:
    rows = [
        (row["reference_value"] - row["value"], row)
        for row in facts.classes
        if row["case_id"] == case["case_id"] and row["value"] is not None and row["reference_value"] is not None
    ]
    if len(rows) < 2:
        return
    rows.sort(key=lambda pair: -pair[0])
    (worst, row), (second, _) = rows[0], rows[1]
    if worst > 2 * max(second, 0.0) and worst > RETRAIN:
        yield (
            f"of one class: {row['class_name']}",
            (
                f"{row['metric']} of {row['class_name']} falls from {row['reference_value']:.3f} to {row['value']:.3f}"
                f" ({row['n']} labels), of the next by {second:.3f}"
            ),
            "more calibration data of this class",
        )


def _in_order(tensors: Sequence[Row]) -> list[Row]:
    return sorted((t for t in tensors if t["kind"] in ("activation", "output")), key=lambda t: int(t["position"]))
