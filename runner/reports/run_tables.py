"""What a report of a run contains: tables of speed, generation, size, memory and parity, each figure with its interval.

Every ratio is between cases that were timed in the same turns; a figure that was not measured is a dash with its
reason, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from assay.runner.reports.console import number, size
from assay.runner.reports.facts import ReportFacts, Row, Table
from assay.runner.reports.quality_tables import quality
from assay.runner.suites.checks import recorded_as
from assay.runner.timing import statistics
from assay.runner.timing.statistics import as_samples, paired_ratio
from assay.schema.metrics import (
    COMPUTE_MS,
    D2H_MS,
    ENQUEUE_MS,
    GPU_CLOCK_MHZ,
    GPU_POWER_W,
    GPU_THROTTLED_SHARE,
    H2D_MS,
    ITEMS_PER_S,
    LATENCY_P50_MS,
    LATENCY_P99_MS,
    LATENCY_RATIO,
    PEAK_RSS_BYTES,
    TOKEN_LATENCY_P50_MS,
    TOKEN_LATENCY_SLOPE_US,
    TOKENS_PER_S,
    TTFT_MS,
)

_TOP = 10


@dataclass(frozen=True, slots=True)
class _Timed:
    """One timed case with its figures by metric."""

    first: Row
    figures: dict[str, Row] = field(default_factory=dict)

    @property
    def label(self) -> str:
        mode = str(self.first["mode"]).partition(", ")[2]
        return f"{self.first['variant']} / {self.first['backend']}" + (f" ({mode})" if mode else "")

    def cell(self, metric: str, show: Callable[[float | None], str] = number) -> str:
        row = self.figures.get(metric)
        if row is None:
            return "-"
        ends = "" if row["low"] is None else f" [{show(row['low'])}, {show(row['high'])}]"
        return f"{show(row['value'])}{ends}"


def tables(facts: ReportFacts) -> list[Table]:
    """The tables of a report; those that the run has nothing for are left out."""
    made = [
        *_speed(facts),
        *_devices(facts),
        *_sizes(facts),
        *_parity(facts),
        *quality(facts),
        *_layers(facts),
        *_findings(facts),
        *_broken(facts),
    ]
    return [table for table in made if table.rows]


def _timed(facts: ReportFacts, check: str) -> dict[tuple[str, str, str], list[_Timed]]:
    """Timed cases by model, workload and the group that they were timed in.

    One that was timed alone is its own group.
    """
    by_case: dict[str, _Timed] = {}
    for row in recorded_as(check, facts.measured):
        by_case.setdefault(row["case_id"], _Timed(row)).figures[row["metric"]] = row
    groups: dict[tuple[str, str, str], list[_Timed]] = {}
    for timed in by_case.values():
        group = str(timed.first["group_id"] or timed.first["case_id"])
        groups.setdefault((timed.first["model"], timed.first["workload"], group), []).append(timed)
    return groups


def _speed(facts: ReportFacts) -> Iterator[Table]:
    for check, heading, metric, columns in (
        (
            "benchmark",
            "Speed",
            LATENCY_P50_MS,
            (("median ms", LATENCY_P50_MS), ("p99 ms", LATENCY_P99_MS), ("items/s", ITEMS_PER_S)),
        ),
        (
            "generation",
            "Generation",
            TOKEN_LATENCY_P50_MS,
            (
                ("first token ms", TTFT_MS),
                ("a token, ms", TOKEN_LATENCY_P50_MS),
                ("tokens/s", TOKENS_PER_S),
                ("slope us/step", TOKEN_LATENCY_SLOPE_US),
            ),
        ),
    ):
        for (model, workload, _), cases in _timed(facts, check).items():
            base = _base(cases)
            rows = [
                [
                    timed.label,
                    *[timed.cell(name) for _, name in columns],
                    _against(timed, base, metric),
                    timed.cell(PEAK_RSS_BYTES, size),
                    _evidence(timed.figures.get(metric)),
                ]
                for timed in sorted(cases, key=lambda timed: (timed is not base, timed.label))
            ]
            title = f"{heading}: {model} on {workload}, {' and '.join(sorted({t.first['backend'] for t in cases}))}"
            shapes = next((c["input_shapes"] for c in facts.cases if c["name"] == cases[0].first["name"]), None)
            note = f"One call takes {_short(shapes)}. " if shapes else ""
            yield Table(
                title,
                [
                    "variant / backend",
                    *[label for label, _ in columns],
                    "as fast as the first",
                    "peak memory",
                    "evidence",
                ],
                rows,
                note + "Brackets are 95 % intervals.",
            )


_ON_DEVICE = (
    ("queue ms", ENQUEUE_MS), ("to device ms", H2D_MS), ("compute ms", COMPUTE_MS), ("to host ms", D2H_MS), ("SM MHz", GPU_CLOCK_MHZ),
    ("W", GPU_POWER_W), ("held back", GPU_THROTTLED_SHARE),
)  # fmt: skip


def _devices(facts: ReportFacts) -> Iterator[Table]:
    """What a call consists of on a device, in the precision that was asked for and the one that ran."""
    asked = {case["case_id"]: case for case in facts.cases}
    timed = [one for cases in _timed(facts, "benchmark").values() for one in cases if COMPUTE_MS in one.figures]
    rows = []
    for one in sorted(timed, key=lambda one: (one.first["model"], one.label)):
        case = asked.get(one.first["case_id"], {})
        rows.append(
            [
                f"{one.first['model']} / {one.label}",
                case.get("precision_asked") or "-",
                case.get("precision") or "-",
                *[one.cell(metric) for _, metric in _ON_DEVICE],
            ]
        )
    yield Table(
        "On the device",
        ["case", "asked", "ran", *[label for label, _ in _ON_DEVICE]],
        rows,
        "Medians between CUDA events; queueing is the host's time. Clocks and power are medians of what NVML told"
        " meanwhile.",
    )


def _short(shapes: str) -> str:
    """The first inputs of many."""
    some = shapes.split(", ")
    return ", ".join(some[:2]) + (f" and {len(some) - 2} more" if len(some) > 2 else "")


def _base(cases: Sequence[_Timed]) -> _Timed:
    """The one without a ratio among those that were timed in turns: the others' ratios are over it."""
    together = [timed for timed in cases if LATENCY_RATIO not in timed.figures]
    return together[0] if together else cases[0]


def _against(timed: _Timed, base: _Timed, metric: str) -> str:
    """How many times faster, paired from the samples; a dash with the reason where that may not be said."""
    if timed is base:
        return "1"
    a, b = timed.figures.get(metric), base.figures.get(metric)
    if a is None or b is None or not a["group_id"] or a["group_id"] != b["group_id"]:
        return "- (not timed in the same turns)"
    if not a["samples"] or not b["samples"]:
        return "- (no samples)"
    ratio = paired_ratio(*[as_samples(row["samples"], row["block_length"], row["launches"] or 1) for row in (a, b)])
    if ratio.low is None or ratio.high is None:
        return f"{1 / ratio.value:.3g}x (no interval)"
    few = "" if ratio.launches >= 3 else f", {ratio.launches} launches: {statistics.NOT_ENOUGH}"
    return f"{1 / ratio.value:.3g}x [{1 / ratio.high:.3g}, {1 / ratio.low:.3g}]{few}"


def _evidence(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{row['provenance']}, n = {row['n']}" + (f" in {row['launches']} launches" if row["launches"] else "")


def _sizes(facts: ReportFacts) -> Iterator[Table]:
    seen: dict[str, Row] = {}
    for case in facts.cases:
        if case["artifact_id"] and case["model_bytes"]:
            seen.setdefault(case["artifact_id"], case)
    by_model: dict[str, list[Row]] = {}
    for case in seen.values():
        by_model.setdefault(case["model"], []).append(case)
    for model, cases in by_model.items():
        first = next((c for c in cases if c["variant"] == "fp32"), cases[0])
        rows = [
            [
                f"{c['variant']} / {c['format']}",
                size(c["model_bytes"]),
                f"{c['model_bytes'] / first['model_bytes']:.1%}",
                "-" if c["parameters"] is None else f"{c['parameters']:,}",
                number(c["bits_per_weight"]),
                c["model_sha256"][:12],
            ]
            for c in sorted(cases, key=lambda c: -c["model_bytes"])
        ]
        origins = sorted({c["weights"] for c in cases if c["weights"]})
        yield Table(
            f"Size: {model}",
            ["variant", "bytes", f"of {first['variant']}", "weights stored", "bits per weight", "SHA-256"],
            rows,
            f"Weights: {'; '.join(origins)}." if origins else "",
        )


def _parity(facts: ReportFacts) -> Iterator[Table]:
    rows = [
        [
            r["name"],
            r["output"],
            r["outcome"] or "-",
            number(r["max_abs"]),
            number(r["sqnr_db"]),
            number(r["cosine"], 6),
            f"{r['elements']:,}",
            r["reason"] or "",
        ]
        for r in facts.receipts
    ]
    yield Table("Parity", ["case", "output", "verdict", "max |error|", "SQNR dB", "cosine", "elements", "reason"], rows)


def _layers(facts: ReportFacts) -> Iterator[Table]:
    by_case: dict[str, list[Row]] = {}
    for layer in facts.layers:
        by_case.setdefault(layer["case_name"], []).append(layer)
    for name, layers in by_case.items():
        top = sorted(layers, key=lambda layer: -layer["share"])[:_TOP]
        rows = [
            [
                layer["name"],
                layer["op_type"],
                layer["precision"] or "-",
                f"{layer['share']:.1%}",
                number(layer["median_us"]),
                number(layer["reference_us"]),
            ]
            for layer in top
        ]
        yield Table(
            f"Operators: {name}",
            ["operator", "type", "inputs", "share", "median us", "in float, us"],
            rows,
            f"The {len(top)} longest of {len(layers)}.",
        )


def _findings(facts: ReportFacts) -> Iterator[Table]:
    yield Table(
        "Findings",
        ["case", "severity", "what", "evidence"],
        [[f["name"], f["severity"], f["kind"], f["message"]] for f in facts.findings],
    )


def _broken(facts: ReportFacts) -> Iterator[Table]:
    rows = [
        [c["name"], c["came_to"], str(c["why"]).splitlines()[0] if c["why"] else ""]
        for c in facts.cases
        if c["came_to"] not in ("ok", "waived")
    ]
    yield Table("Failed, not measured, or proving nothing", ["case", "status", "why"], rows)
