"""It is not faster because ...: a measured ratio, and what the profile of the same variant says. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from assay.runner.quality.thresholds import FLOAT
from assay.runner.reports.doctor.diagnosis import Diagnosis, DoctorFacts, Row
from assay.schema.metrics import LATENCY_RATIO

_PROBLEM = "not faster"


def speed(facts: DoctorFacts) -> list[Diagnosis]:
    """For each quantized case whose latency over float does not exclude 1.

    What its profile found, or that there is none.
    """
    made: list[Diagnosis] = []
    by_id = {case["case_id"]: case for case in facts.cases}
    for row in facts.measured:
        case = by_id.get(row["case_id"])
        if case is None or row["metric"] != LATENCY_RATIO or case["variant"] in FLOAT or row["high"] is None:
            continue
        if row["high"] < 1:
            continue
        ratio = f"{row['value']:.3g}x [{row['low']:.3g}, {row['high']:.3g}] of the float latency"
        found = [f for f in facts.found(case) if f["kind"] == "why_not_faster" and f["severity"] != "note"]
        better = _better(facts, row, by_id)
        made += [
            Diagnosis(_PROBLEM, case["name"], f["subject"], f"{ratio}; {f['message']}", _remedy(f["message"]) + better)
            for f in found
        ]
        if not found:
            made.append(
                Diagnosis(
                    _PROBLEM,
                    case["name"],
                    "not explained",
                    f"{ratio}; no profile of this variant in the run says why",
                    f'add check = "profile" for this variant and fp32: it times every operator{better}',
                )
            )
    return made


def _better(facts: DoctorFacts, slow: Row, by_id: Mapping[str, Row]) -> str:
    """Another quantized variant of the same model, timed in the same turns, that is faster than float."""
    own = by_id[slow["case_id"]]
    others = [
        (row["value"], other["variant"])
        for row in facts.measured
        if row["metric"] == LATENCY_RATIO
        and row["high"] is not None
        and row["high"] < 1
        and (other := by_id.get(row["case_id"])) is not None
        and other["variant"] not in FLOAT
        and other.get("group_id") == own.get("group_id")
        and (other["model"], other["model_version"]) == (own["model"], own["model_version"])
    ]
    if not others:
        return ""
    value, variant = min(others)
    return f"; {variant} of this run is {1 / value:.3g} times as fast as float"


def _remedy(message: str) -> str:
    for words, remedy in (
        ("ConvInteger", 'recipe = "onnxruntime-static" with calibration data of its own'),
        (
            "conversions",
            "quantize what lies between, so that pairs of Q and DQ fall away; or leave single nodes in float",
        ),
        ("were not quantized", "take these products in: op_types, nodes_to_quantize"),
        ("slower than in float", "leave these nodes in float: assay search weighs them by their time"),
        ("integer dot product", "measure on the host that ships; float or FP16 may be faster here"),
        ("turned back into float", "Q and DQ have to stand around an operator that has an integer kernel"),
    ):
        if words in message:
            return remedy
    return "quantize what takes the time, or leave it"
