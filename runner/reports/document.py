"""A run as a document: tables of speed, generation, size, memory and parity.

Each figure with its interval and provenance.

Nothing in it is typed by hand, and every ratio is between cases that were timed in the same turns; a figure that was
not
measured is a dash with its reason, never a guess.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from assay.runner.reports.console import number, size
from assay.runner.reports.facts import Facts, Row, Table
from assay.runner.reports.quality import quality
from assay.runner.suites.checks import recorded_as
from assay.runner.timing import statistics
from assay.runner.timing.statistics import as_samples, paired_ratio

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


def tables(facts: Facts) -> list[Table]:
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


def _timed(facts: Facts, check: str) -> dict[tuple[str, str, str], list[_Timed]]:
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


def _speed(facts: Facts) -> Iterator[Table]:
    for check, heading, metric, columns in (
        (
            "benchmark",
            "Speed",
            "latency_p50_ms",
            (("median ms", "latency_p50_ms"), ("p99 ms", "latency_p99_ms"), ("items/s", "items_per_s")),
        ),
        (
            "generation",
            "Generation",
            "token_latency_p50_ms",
            (
                ("first token ms", "ttft_ms"),
                ("a token, ms", "token_latency_p50_ms"),
                ("tokens/s", "tokens_per_s"),
                ("slope us/step", "token_latency_slope_us"),
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
                    timed.cell("peak_rss_bytes", size),
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
    ("queue ms", "enqueue_ms"), ("to device ms", "h2d_ms"), ("compute ms", "compute_ms"), ("to host ms", "d2h_ms"), ("SM MHz", "gpu_clock_mhz"),
    ("W", "gpu_power_w"), ("held back", "gpu_throttled_share"),
)  # fmt: skip


def _devices(facts: Facts) -> Iterator[Table]:
    """What a call consists of on a device, in the precision that was asked for and the one that ran."""
    asked = {case["case_id"]: case for case in facts.cases}
    timed = [one for cases in _timed(facts, "benchmark").values() for one in cases if "compute_ms" in one.figures]
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
    together = [timed for timed in cases if "latency_ratio" not in timed.figures]
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


def _sizes(facts: Facts) -> Iterator[Table]:
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


def _parity(facts: Facts) -> Iterator[Table]:
    rows = [
        [
            r["name"],
            r["output"],
            r["outcome"] or "-",
            number(r["max_abs"]),
            number(r["sqnr_db"]),
            f"{r['elements']:,}",
            r["reason"] or "",
        ]
        for r in facts.receipts
    ]
    yield Table("Parity", ["case", "output", "verdict", "max |error|", "SQNR dB", "elements", "reason"], rows)


def _layers(facts: Facts) -> Iterator[Table]:
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


def _findings(facts: Facts) -> Iterator[Table]:
    yield Table(
        "Findings",
        ["case", "severity", "what", "evidence"],
        [[f["name"], f["severity"], f["kind"], f["message"]] for f in facts.findings],
    )


def _broken(facts: Facts) -> Iterator[Table]:
    rows = [
        [c["name"], c["status"], str(c["error_message"] or "").splitlines()[0] if c["error_message"] else ""]
        for c in facts.cases
        if c["status"] != "ok"
    ]
    yield Table("Not measured, or proving nothing", ["case", "status", "why"], rows)


def _heading(facts: Facts) -> list[str]:
    run, host = facts.run, facts.environment
    commit = (
        f"commit {run['git_commit'][:12]}{' with changes' if run['git_dirty'] else ''}"
        if run["git_commit"]
        else "no commit"
    )
    libraries = ", ".join(f"{name} {host[name]}" for name in ("torch", "onnx", "onnxruntime", "tensorrt") if host[name])
    return [
        f"Run {run['run_id']} of suite {run['suite']}, {run['started_at']:%Y-%m-%d %H:%M} UTC, {commit}.",
        f"Host class {host['hardware_class']}; {host['os']}; {libraries}.",
        (
            f"{run['cases']} of {run['cases_planned']} cases; verdicts: {run['passed']} pass, {run['failed']} fail,"
            f" {run['vacuous']} vacuous, {run['waived']} waived."
        ),
    ]


def as_markdown(facts: Facts) -> str:
    lines = [f"# {facts.run['suite']}", "", *[f"{line}  " for line in _heading(facts)], ""]
    for table in tables(facts):
        lines += [f"## {table.title}", ""]
        if table.note:
            lines += [table.note, ""]
        lines += [_line(table.columns), _line(["---"] * len(table.columns)), *[_line(row) for row in table.rows], ""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    escaped = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"


_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 2rem; display: block; overflow-x: auto; }
th, td { text-align: left; padding: 0.3rem 0.8rem; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
"""


def as_html(facts: Facts) -> str:
    """One page without scripts or anything from elsewhere; names are escaped."""
    parts = [
        f"<h1>{html.escape(str(facts.run['suite']))}</h1>",
        *[f"<p>{html.escape(line)}</p>" for line in _heading(facts)],
    ]
    for table in tables(facts):
        head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in table.rows
        )
        parts += [
            f"<h2>{html.escape(table.title)}</h2>",
            f"<p>{html.escape(table.note)}</p>" if table.note else "",
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>",
        ]
    title = html.escape(f"{facts.run['suite']}: {facts.run['run_id']}")
    return (
        '<!doctype html><html lang="en"><head><meta'
        f' charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head><body>{"".join(parts)}</body></html>\n'
    )


_CSV = (
    "name",
    "model",
    "model_version",
    "variant",
    "backend",
    "workload",
    "check_kind",
    "mode",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "launches",
    "unit",
    "better",
    "provenance",
    "comparability",
)


def as_csv(facts: Facts) -> str:
    """Every figure, one a line, with its interval, unit, provenance and comparability key."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run_id", *_CSV])
    writer.writerows([facts.run["run_id"], *[row[name] for name in _CSV]] for row in facts.measured)
    return out.getvalue()


def as_json(facts: Facts) -> str:
    """The tables as they are shown."""
    document = {
        "run": facts.run["run_id"],
        "about": _heading(facts),
        "tables": [
            {"title": t.title, "note": t.note, "rows": [dict(zip(t.columns, row, strict=True)) for row in t.rows]}
            for t in tables(facts)
        ],
    }
    return json.dumps(document, indent=1) + "\n"


FORMATS: dict[str, Callable[[Facts], str]] = {"md": as_markdown, "html": as_html, "csv": as_csv, "json": as_json}
