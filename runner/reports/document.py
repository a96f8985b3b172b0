"""A run as a document: the tables of `run_tables`, as Markdown, HTML, CSV or JSON. Nothing in it is typed by hand."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Sequence

from assay.runner import escaping
from assay.runner.reports.facts import ReportFacts
from assay.runner.reports.run_tables import tables
from assay.schema import documents


def _heading(facts: ReportFacts) -> list[str]:
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


def as_markdown(facts: ReportFacts) -> str:
    lines = [
        f"# {escaping.markdown(facts.run['suite'])}",
        "",
        *[f"{escaping.markdown(line)}  " for line in _heading(facts)],
        "",
    ]
    for table in tables(facts):
        lines += [f"## {escaping.markdown(table.title)}", ""]
        if table.note:
            lines += [escaping.markdown(table.note), ""]
        lines += [_line(table.columns), _line(["---"] * len(table.columns)), *[_line(row) for row in table.rows], ""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escaping.markdown(cell) for cell in cells)} |"


_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 2rem; display: block; overflow-x: auto; }
th, td { text-align: left; padding: 0.3rem 0.8rem;
  border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
"""


def as_html(facts: ReportFacts) -> str:
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


def as_csv(facts: ReportFacts) -> str:
    """Every figure, one a line, with its interval, unit, provenance and comparability key."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run_id", *_CSV])
    cells = ([facts.run["run_id"], *[row[name] for name in _CSV]] for row in facts.measured)
    writer.writerows([escaping.csv_cell(cell) for cell in line] for line in cells)
    return out.getvalue()


def as_json(facts: ReportFacts) -> str:
    """The tables as they are shown."""
    document = {
        "run": facts.run["run_id"],
        "about": _heading(facts),
        "tables": [
            {"title": t.title, "note": t.note, "rows": [dict(zip(t.columns, row, strict=True)) for row in t.rows]}
            for t in tables(facts)
        ],
    }
    return documents.strict(documents.document(document), indent=1) + "\n"


FORMATS: dict[str, Callable[[ReportFacts], str]] = {"md": as_markdown, "html": as_html, "csv": as_csv, "json": as_json}
