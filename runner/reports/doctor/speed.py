"""It is not faster because ...: a measured ratio, and what the profile of the same variant says. Pure."""

from __future__ import annotations

from assay.runner.quality.thresholds import FLOAT
from assay.runner.reports.doctor.diagnosis import Diagnosis, DoctorFacts
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
        made += [
            Diagnosis(_PROBLEM, case["name"], f["subject"], f"{ratio}; {f['message']}", _remedy(f["message"]))
            for f in found
        ]
        if not found:
            made.append(
                Diagnosis(
                    _PROBLEM,
                    case["name"],
                    "not explained",
                    f"{ratio}; no profile of this variant in the run says why",
                    'add check = "profile" for this variant and fp32: it times every operator',
                )
            )
    return made


def _remedy(message: str) -> str:
    for words, remedy in (
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
