"""A recorded run as a person wants it: what failed and why, what is slower, and what to type next.

Rows in, lines out; every row is behind `assay show RUN TOPIC`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from rich.text import Text

from assay.runner.reports.console import COLOURS, console, interval, quantity
from assay.runner.reports.tables import shortened
from assay.runner.suites.checks import recorded_as
from assay.schema.metrics import LATENCY_RATIO
from assay.schema.queries import runs as run_queries
from assay.schema.queries.base import Filters
from assay.schema.queries.comparison import RunComparison, compare_runs

Row = Mapping[str, Any]

_MOST = 10
"""So many of what failed and of what is slower; the rest is a number and the command that lists it."""
_BROKEN = ("failed", "crashed", "timeout", "vacuous", "skipped")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that went wrong: a case that broke, or a verdict that did not pass."""

    case: str
    what: str
    why: str
    explainable: bool = False
    """Whether `assay explain` can walk it: a comparison that failed."""


@dataclass(frozen=True, slots=True)
class Slower:
    case: str
    what: str
    by: str


@dataclass(frozen=True, slots=True)
class Highlights:
    """What is said first of a run."""

    run: str
    """Its id, in its shortest unique beginning."""
    about: list[str]
    troubles: list[Trouble]
    nothing: str
    """What is said where there are none."""
    slower: list[Slower]
    slower_than: str
    """What `slower` is held against, in words."""
    next: list[str]
    """Commands, ready to be pasted."""


def print_highlights(connection: duckdb.DuckDBPyConnection, run_id: str, document: Mapping[str, Any]) -> None:
    """Print what is said first of a run; `document` holds its rows by topic."""
    run = next(row for row in run_queries.runs(connection, Filters(), limit=10**9) if row["run_id"] == run_id)
    ids = [row["run_id"] for row in run_queries.run_ids(connection)]
    name = shortened(ids)[ids.index(run_id)]
    before = run_queries.run_before(connection, run_id)
    compared = compare_runs(connection, before, run_id) if before else None
    target = console()
    for line, word in lines(highlights(run, name, document["environment"], document, compared)):
        target.print(Text(line, style=COLOURS.get(word, "")), soft_wrap=True)


def troubles(cases: Sequence[Row], verdicts: Sequence[Row]) -> list[Trouble]:
    """What broke, then what failed, then what proved nothing.

    A case that is expected to fail is judged by that expectation alone.
    """
    expected = {row["case_name"] for row in verdicts if row["subject"] == "expectation"}
    found = [
        Trouble(row["name"], row["status"], _first_line(row["error_message"]) or "no reason was recorded")
        for row in cases
        if row["status"] in _BROKEN and not (row["name"] in expected and row["status"] == "vacuous")
    ]
    vacuous = {trouble.case for trouble in found if trouble.what == "vacuous"}
    for wanted in ("fail", "vacuous"):
        found += [
            Trouble(row["case_name"], _named(row), _why(row), row["subject"] == "parity")
            for row in verdicts
            if row["outcome"] == wanted
            and (row["case_name"] not in expected or row["subject"] == "expectation")
            and not (wanted == "vacuous" and row["case_name"] in vacuous)
        ]
    return found


def _named(row: Row) -> str:
    subject = "" if row["subject"] == "parity" else f"{row['subject']} "
    return f"{row['outcome']}: {subject}{row['name']}"


def _why(row: Row) -> str:
    """The reason, and the figure beside its limit where the reason does not say it."""
    reason = row["reason"] or row["outcome"]
    if row["observed"] is None or row["limit_value"] is None:
        return str(reason)
    return f"{reason} ({quantity(row['observed'])}, limit {quantity(row['limit_value'])})"


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def slower_than_before(compared: RunComparison) -> list[Slower]:
    """Figures that are worse than in the run before, by more than two runs differ by anyway; the largest first."""
    worse = [line for line in compared.speed if line.outcome == "worse" and line.ratio]
    worse.sort(key=lambda line: -max(line.ratio or 1.0, 1 / (line.ratio or 1.0)))
    return [
        Slower(
            line.case,
            line.name,
            f"{quantity(line.a, line.unit)} -> {quantity(line.b, line.unit)},"
            f" {interval(line.ratio, line.ratio_low, line.ratio_high)}x",
        )
        for line in worse
    ]


def slower_than_reference(measured: Sequence[Row]) -> list[Slower]:
    """Cases whose whole interval is slower than what they were timed beside."""
    slow = [row for row in measured if row["metric"] == LATENCY_RATIO and (row["low"] or 0.0) > 1.0]
    slow.sort(key=lambda row: -row["value"])
    return [Slower(row["name"], "", f"{interval(row['value'], row['low'], row['high'])}x") for row in slow]


def highlights(
    run: Row, name: str, environment: Row, document: Mapping[str, Sequence[Row]], compared: RunComparison | None
) -> Highlights:
    """`run` as `queries.runs` gives it, `name` its short id; `compared` with the run before of its suite, if any."""
    found = troubles(document["cases"], document["verdicts"])
    if compared is not None:
        slower, than = slower_than_before(compared), f"than {compared.a[: len(name)]}, the run before"
    else:
        slower, than = slower_than_reference(document["measurements"]), "than what they were timed beside"
    failed = int(run["failed"])
    nothing = f"nothing failed but what was expected to ({failed} verdicts)" if failed else "nothing failed"
    told = _about(run, name, environment, document["cases"])
    return Highlights(name, told, found, nothing, slower, than, _next(name, found, document, compared))


def _about(run: Row, name: str, environment: Row, cases: Sequence[Row]) -> list[str]:
    not_ok = sum(case["came_to"] not in ("ok", "waived") for case in cases)
    verdicts = ", ".join(
        f"{run[key]} {word}"
        for key, word in (("passed", "pass"), ("failed", "fail"), ("vacuous", "vacuous"), ("waived", "waived"))
        if run[key]
    )
    libraries = ", ".join(
        f"{library} {environment[library]}"
        for library in ("torch", "onnxruntime", "tensorrt")
        if environment.get(library)
    )
    state = "" if run["state"] == "done" else f", {run['state']}"
    return [
        f"run {name} of {run['suite']}, {run['started_at']:%Y-%m-%d %H:%M} UTC{state}",
        f"{run['cases']} of {run['cases_planned']} cases, {not_ok} not ok; verdicts: {verdicts or 'none'}",
        f"on {environment['hardware_class']}; {libraries or environment['os']}",
    ]


def _next(
    name: str, found: Sequence[Trouble], document: Mapping[str, Sequence[Row]], compared: RunComparison | None
) -> list[str]:
    commands = [f"assay explain {shlex.quote(one.case)} --run {name}" for one in found if one.explainable][:1]
    if compared is not None:
        commands.append(f"assay compare {compared.a[: len(name)]} {name}")
    if recorded_as("quality", document["cases"]):
        commands.append(f"assay doctor {name}")
    return [*commands, f"assay show {name} {'verdicts' if found else 'measurements'}", "assay dashboard"]


def lines(told: Highlights) -> list[tuple[str, str]]:
    """Lines and the colour's word of each."""
    out = [(line, "") for line in told.about]
    out += [("", "")]
    if told.troubles:
        out += [(f"{len(told.troubles)} failed or proved nothing", "fail")]
        out += _by_case(told.troubles[:_MOST])
        out += _more(len(told.troubles), f"assay show {told.run} verdicts")
    else:
        out += [(told.nothing, "pass")]
    out += [("", "")]
    if told.slower:
        out += [(f"{len(told.slower)} slower or larger {told.slower_than}", "unknown")]
        for one in told.slower[:_MOST]:
            out += [(f"  {one.case}", ""), (f"    {' '.join(filter(None, (one.what, one.by)))}", "")]
        out += _more(len(told.slower), f"assay show {told.run} measurements")
    else:
        out += [(f"nothing is slower or larger {told.slower_than}", "pass")]
    return [*out, ("", ""), ("next", ""), *[(f"  {command}", "") for command in told.next]]


def _by_case(found: Sequence[Trouble]) -> list[tuple[str, str]]:
    """A case once, and under it everything that went wrong with it."""
    out: list[tuple[str, str]] = []
    for case in dict.fromkeys(one.case for one in found):
        out.append((f"  {case}", ""))
        out += [(f"    {one.what}: {one.why}", "") for one in found if one.case == case]
    return out


def _more(count: int, command: str) -> list[tuple[str, str]]:
    return [(f"  and {count - _MOST} more: {command}", "")] if count > _MOST else []
