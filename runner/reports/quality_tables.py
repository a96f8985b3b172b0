"""The part of a report that is about quantization: what is lost, why, and what was looked at."""

from __future__ import annotations

from collections.abc import Iterator

from assay.runner.reports.checklist import checklist
from assay.runner.reports.facts import ReportFacts, Row, Table
from assay.runner.suites.checks import recorded_as
from assay.schema.metrics import QUALITY_DROP_RELATIVE
from assay.schema.queries.quality import MAIN_METRICS


def quality(facts: ReportFacts) -> Iterator[Table]:
    """What each variant loses of its task's main metric, why, and the checklist."""
    by_case: dict[str, dict[str, Row]] = {}
    for row in recorded_as("quality", facts.measured):
        by_case.setdefault(row["name"], {})[row["metric"]] = row
    rows = []
    for name, figures in by_case.items():
        main = next((metric for metric in MAIN_METRICS if metric in figures), None)
        if main is not None:
            cells = [
                _interval(figures.get(metric)) for metric in (main, f"{main}_drop", QUALITY_DROP_RELATIVE, "agreement")
            ]
            rows.append([name, main, *cells, str(figures[main]["n"])])
    yield Table(
        "Quality",
        ["case", "metric", "value", "lost", "lost, relative", "agreement", "n"],
        rows,
        "Against the reference on the same items; positive is worse. Intervals: 95 %, items resampled in pairs (average"
        " precision: jackknife).",
    )
    ticks = {True: "[x]", False: "[ ]", None: "n/a"}
    items = checklist(facts.cases, facts.measured, facts.findings)
    yield Table(
        "Diagnosis",
        ["problem", "case", "because", "evidence", "remedy"],
        [[d.problem, d.subject, d.because, d.evidence, d.remedy] for d in facts.diagnoses],
        "Concluded from rows of this run alone.",
    )
    yield Table(
        "Checklist",
        ["", "item", "by"],
        [[ticks[item.done], item.what, item.evidence] for item in items],
        "Ticked by rows of this run alone.",
    )


def _interval(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{row['value']:.4f}" + ("" if row["low"] is None else f" [{row['low']:.4f}, {row['high']:.4f}]")
