"""Whether a run may pass: what it does worse than a baseline, what it does not do at all, and what is not known.

Pure: rows in, checks out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from assay.runner.errors import ExitCode, UsageError
from assay.runner.escaping import markdown
from assay.schema.queries.comparison import Line, RunComparison

Row = Mapping[str, Any]
REGRESSED, EQUIVALENT, UNKNOWN = "regressed", "equivalent", "not enough evidence"
_BROKEN = ("failed", "crashed", "timeout")
_WORSE, _RIGHT = ("fail", "vacuous"), ("ok", "waived")
"""What a verdict that is no comparison of outputs (a limit, an invariant, a finding) makes of a case is told here."""


@dataclass(frozen=True, slots=True)
class GateLine:
    """One thing that was asked of the run."""

    case: str
    what: str
    """`status`, a metric, or `OUTPUT: max_abs` of a comparison."""
    outcome: str
    """`regressed`, `equivalent` (no worse) or `not enough evidence`."""
    message: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Everything that was asked, and what follows."""

    compared: RunComparison
    checks: list[GateLine]

    @property
    def exit_code(self) -> ExitCode:
        """1 with a regression, 4 where nothing could be told, else 0.

        What is not known does not stop anyone, and is listed.
        """
        outcomes = {check.outcome for check in self.checks}
        if REGRESSED in outcomes:
            return ExitCode.FAILED
        return ExitCode.OK if EQUIVALENT in outcomes else ExitCode.NOTHING

    def of(self, outcome: str) -> list[GateLine]:
        return [check for check in self.checks if check.outcome == outcome]


def judge(compared: RunComparison, before: Sequence[Row], after: Sequence[Row], notes: Sequence[Row] = ()) -> Gate:
    """Hold a run (`after`: its cases) against a baseline (`before`).

    `notes` are findings of the run that say what was never exercised: each of them stops it, new or not.

    Raises:
        UsageError: everything that was timed in both is unlike (hardware, workload, mode, ...): the fields are named.
    """
    both = [line for line in compared.speed if not line.outcome.startswith("only")]
    if both and all(line.outcome == "not comparable" for line in both):
        fields = "; ".join(dict.fromkeys(part for line in both for part in line.differs.split("; ")))
        raise UsageError(
            f"these runs are not alike, and nothing of one says anything of the other: {fields}. Choose a baseline of"
            " the same kind."
        )
    told = {line.case for line in compared.parity if line.outcome.startswith("worse")}
    checks = [
        *_cases(before, after, told),
        *(_parity(line) for line in compared.parity if not line.outcome.startswith("only")),
        *(GateLine(note["name"], note["kind"], REGRESSED, note["message"]) for note in notes),
    ]
    return Gate(compared, [*checks, *(_speed(line) for line in both)])


def _cases(before: Sequence[Row], after: Sequence[Row], told: set[str]) -> Iterator[GateLine]:
    """A case that is gone, that broke, or that fails a verdict, is a regression; one that was so before is not.

    `told` are cases whose comparison of outputs says it already.
    """
    known = {row["name"]: row for row in before}
    now = {row["name"]: row for row in after}
    for name, row in known.items():
        other = now.get(name)
        if other is None:
            yield GateLine(name, "status", REGRESSED, "it is in the baseline and not in this run")
        elif other["status"] in _BROKEN and row["status"] in _BROKEN:
            yield GateLine(
                name,
                "status",
                UNKNOWN,
                f"{other['status']}, as in the baseline: {other['error_message'] or ''}".strip(": "),
            )
        elif other["status"] in _BROKEN:
            yield GateLine(
                name, "status", REGRESSED, f"{other['status']}: {other['error_message'] or 'no reason was recorded'}"
            )
        elif other["status"] == "vacuous" and row["status"] == "ok":
            yield GateLine(name, "status", REGRESSED, "it compared something in the baseline, and nothing now")
        elif other["came_to"] in _WORSE and row["came_to"] in _RIGHT and name not in told:
            yield GateLine(
                name, "status", REGRESSED, f"{row['came_to']} -> {other['came_to']}: {other['why'] or 'no reason'}"
            )
        else:
            yield GateLine(name, "status", EQUIVALENT, str(other["came_to"]))


def _parity(line: Line) -> GateLine:
    if line.outcome.startswith("worse"):
        return GateLine(
            line.case,
            line.name,
            REGRESSED,
            line.outcome.removeprefix("worse: ") + (f" ({line.differs})" if line.differs else ""),
        )
    return GateLine(line.case, line.name, EQUIVALENT, line.outcome)


def _speed(line: Line) -> GateLine:
    ends = (
        "" if line.ratio_low is None or line.ratio_high is None else f" [{line.ratio_low:.3g}, {line.ratio_high:.3g}]"
    )
    ratio = "" if line.ratio is None else f"{line.ratio:.3g}x{ends}"
    if line.outcome == "worse":
        return GateLine(line.case, line.name, REGRESSED, f"{ratio} of the baseline, {line.better} is better")
    if line.outcome == "not comparable":
        return GateLine(line.case, line.name, UNKNOWN, f"not comparable: {line.differs}")
    if line.outcome == UNKNOWN:
        return GateLine(line.case, line.name, UNKNOWN, ratio)
    return GateLine(line.case, line.name, EQUIVALENT, f"{line.outcome}: {ratio}" if ratio else line.outcome)


def as_markdown(gate: Gate) -> str:
    """For a pull request: the outcome, what regressed, what is not known, and what differs between the hosts."""
    regressed, unknown = gate.of(REGRESSED), gate.of(UNKNOWN)
    head = f"{len(regressed)} regressed" if regressed else "nothing regressed"
    lines = [
        f"## Assay: {head}",
        "",
        (
            f"{len(gate.of(EQUIVALENT))} equivalent, {len(unknown)} without enough evidence. Run {gate.compared.b}"
            f" against {gate.compared.a}."
        ),
    ]
    lines += [
        f"- {markdown(name)} differs: {markdown(old)} -> {markdown(new)}"
        for name, (old, new) in gate.compared.environment.items()
    ]
    for title, checks in (("Regressed", regressed), ("Not enough evidence", unknown)):
        if checks:
            lines += ["", f"### {title}", "", "| case | what | evidence |", "| --- | --- | --- |"]
            lines += [
                f"| {markdown(check.case)} | {markdown(check.what)} | {markdown(check.message)} |" for check in checks
            ]
    return "\n".join(lines) + "\n"


def as_junit(gate: Gate) -> str:
    """JUnit XML: a regression is a failure, what is not known is skipped."""
    suite = ET.Element(
        "testsuite",
        name="assay gate",
        tests=str(len(gate.checks)),
        failures=str(len(gate.of(REGRESSED))),
        skipped=str(len(gate.of(UNKNOWN))),
    )
    for check in gate.checks:
        case = ET.SubElement(suite, "testcase", classname=_xml(check.case), name=_xml(check.what))
        if check.outcome == REGRESSED:
            ET.SubElement(case, "failure", message=_xml(check.message))
        elif check.outcome == UNKNOWN:
            ET.SubElement(case, "skipped", message=_xml(check.message))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "?", text)
