"""What a suite says that comes to nothing, or to less than it seems: a note each, and no error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from assay.runner.suites.case import Case, Expansion
from assay.runner.suites.checks import CHECKS
from assay.runner.suites.suite import CaseTable, Suite


@dataclass(frozen=True, slots=True)
class Note:
    about: str
    """A case, or what the suite names: `workload noise`, `case 2`."""
    text: str


def notes(suite: Suite, found: Expansion) -> list[Note]:
    """What a reader of the suite would take for granted and does not get."""
    return [
        *_unused(suite),
        *_tables(suite),
        *_twice(found.cases),
        *_without_base(found.cases),
        *_never_compared(found.cases),
    ]


def _unused(suite: Suite) -> Iterator[Note]:
    """What is declared and in no case."""
    bases = {variant.base for variant in suite.variant.values()}
    learnt_from = {variant.calibration for variant in suite.variant.values()}
    used: dict[str, tuple[Iterable[str], set[str | None]]] = {
        "model": (suite.model, {name for table in suite.case for name in table.models}),
        "workload": (suite.workload, {*learnt_from, *(name for table in suite.case for name in table.workloads)}),
        "variant": (suite.variant, {*bases, *(name for table in suite.case for name in table.variants)}),
        "backend": (suite.backend, {name for t in suite.case for name in (*t.backends, t.reference)}),
        "policy": (suite.policy, {table.policy for table in suite.case}),
    }
    for kind, (declared, names) in used.items():
        for name in declared:
            if name not in names:
                yield Note(f"{kind} {name}", "no case names it, so it is never used")


def _tables(suite: Suite) -> Iterator[Note]:
    for number, table in enumerate(suite.case, 1):
        if table.modes and not any(CHECKS[check].parse_mode for check in table.checks):
            yield Note(
                f"case {number}", f"modes = {_listed(table.modes)} changes nothing: {_checks(table)} has no modes"
            )
        if table.golden and table.workloads:
            yield Note(
                f"case {number}",
                f"golden {table.golden!r} has its own inputs: workloads = {_listed(table.workloads)} are names only,"
                " and are not drawn",
            )


def _listed(names: Iterable[str]) -> str:
    return "[" + ", ".join(names) + "]"


def _checks(table: CaseTable) -> str:
    return " and ".join(table.checks)


def _twice(cases: list[Case]) -> Iterator[Note]:
    """Two cases of one name are one series in the books, whatever differs between their tables."""
    for name, times in Counter(case.name for case in cases).items():
        if times > 1:
            yield Note(name, f"{times} cases have this name: the books cannot tell them apart")


def _without_base(cases: list[Case]) -> Iterator[Note]:
    """Benchmarks of several things of which none is what the others are to be compared with."""
    groups: dict[tuple[int, str, str, str, str], list[Case]] = {}
    for case in cases:
        if CHECKS[case.check].in_turns:
            groups.setdefault((case.group, case.model, case.workload, case.check, case.mode), []).append(case)
    for (group, model, workload, check, _), timed in groups.items():
        if len(timed) > 1 and not any(case.is_base for case in timed):
            base = timed[0].against or f"its reference {timed[0].reference or 'a golden'}"
            yield Note(
                f"case {group + 1}",
                f"no ratio of {model!r} on {workload!r} ({check}): {base} is not timed beside the others. List it, or"
                " name another with `against`",
            )


def _never_compared(cases: list[Case]) -> Iterator[Note]:
    """What is timed and held against nothing, on any backend: fast says little where right is not known."""
    compared = {(case.model, case.variant) for case in cases if CHECKS[case.check].proves}
    timed = {(case.model, case.variant): None for case in cases if case.is_timed and not case.is_reference}
    for model, variant in timed:
        if (model, variant) not in compared:
            yield Note(f"{model}/{variant}", "it is timed, and no case compares what it computes with anything")
