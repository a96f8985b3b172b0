"""Two runs differ because something is recorded as other, from the data to the host. Pure.

Where nothing is, something is not deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.runner.reports.doctor.diagnosis import Diagnosis, Row, few
from assay.schema.comparability import key_of, parts_of, unlike
from assay.schema.queries.quality import MAIN_METRICS

_PROBLEM = "runs differ"
_FIELDS = {
    "workload_sha256": "the inputs are others", "calibration_sha256": "ranges were learnt from other data",
    "provider": "another provider", "placement": "operators ran elsewhere",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunSide:
    """One of two runs."""

    cases: Sequence[Row]
    measured: Sequence[Row]
    receipts: Sequence[Row]
    findings: Sequence[Row]


def differences(now: RunSide, before: RunSide, environment: Mapping[str, tuple[Any, Any]]) -> list[Diagnosis]:
    """Cases of both runs whose answers are not the same, by what explains it.

    `environment` is what differs between the hosts and libraries.

    Times are never the same twice and are not asked here: `assay compare` judges them.
    """
    earlier = {case["name"]: case for case in before.cases}
    grouped: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for case in now.cases:
        old = earlier.get(case["name"])
        if old is None or not (changed := _changed(now, before, case["name"])):
            continue
        causes = tuple(_causes(case, old, environment)) or _no_cause(now, before, case["name"])
        grouped.setdefault(causes, []).append((case["name"], changed))
    return [
        Diagnosis(
            _PROBLEM,
            few([name for name, _ in some]),
            "; ".join(causes),
            few([text for _, text in some]),
            _remedy(causes),
        )
        for causes, some in grouped.items()
    ]


def _changed(now: RunSide, before: RunSide, name: str) -> str:
    """What a case answered then and now; "" where it is the same to the last bit."""
    values = [
        {row["metric"]: row["value"] for row in side.measured if row["name"] == name and row["metric"] in MAIN_METRICS}
        for side in (before, now)
    ]
    for metric in values[0].keys() & values[1].keys():
        if values[0][metric] != values[1][metric]:
            return f"{metric} {values[0][metric]:.6g} -> {values[1][metric]:.6g}"
    errors = [{row["output"]: row for row in side.receipts if row["name"] == name} for side in (before, now)]
    for output in sorted(errors[0].keys() & errors[1].keys()):
        then, today = errors[0][output], errors[1][output]
        if (then["max_abs"], then["outcome"]) != (today["max_abs"], today["outcome"]):
            return (
                f"{output}: max_abs {_shown(then['max_abs'])} ({then['outcome']}) -> {_shown(today['max_abs'])}"
                f" ({today['outcome']})"
            )
    return ""


def _causes(case: Row, old: Row, environment: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    if case["model_version"] != old["model_version"]:
        yield f"another model version ({old['model_version']} -> {case['model_version']})"
    for field, words in _FIELDS.items():
        if case[field] != old[field]:
            yield f"{words} ({str(old[field])[:12]} -> {str(case[field])[:12]})"
    if in_force := unlike(*(_process(side.get("comparability", "")) for side in (old, case))):
        yield f"another process: {in_force.replace(' against ', ' -> ')}"
    changed = [f"{name} {then} -> {today}" for name, (then, today) in environment.items()]
    if changed:
        yield f"another environment: {few(changed, 4)}"
    if case["model_sha256"] != old["model_sha256"] and case["model_version"] == old["model_version"]:
        yield f"another file of the same version ({str(old['model_sha256'])[:12]} -> {str(case['model_sha256'])[:12]})"


def _process(key: str) -> str:
    """What was in force in a case's process: its key without what is asked, which has causes of its own above."""
    asked = ("model", "workload", "mode", "hardware")
    return key_of({name: value for name, value in parts_of(key).items() if name not in asked})


def _no_cause(now: RunSide, before: RunSide, name: str) -> tuple[str, ...]:
    told = [f for side in (now, before) for f in side.findings if f["name"] == name and f["kind"] == "not_repeatable"]
    if told:
        return (f"the same file answers the same inputs in two ways: {told[0]['message']}",)
    return ("nothing that is recorded differs (file, inputs, host, libraries): it is not deterministic",)


def _remedy(causes: tuple[str, ...]) -> str:
    text = "; ".join(causes)
    if "not deterministic" in text or "in two ways" in text:
        return 'check = "consistency" measures how far answers scatter; set seeds, one thread, deterministic kernels'
    if "other data" in text or "inputs are others" in text:
        return "fix the data by name and hash: a generator has to use its seed"
    if text.startswith("another file of the same version"):
        return (
            "recipe or options changed between the runs, or building is not deterministic: compare the suites' hashes"
        )
    return "compare like with like: one change at a time"


def _shown(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"
