"""What a diagnosis is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    problem: str
    """`accuracy fell`, `outputs differ`, `not faster` or `runs differ`."""
    subject: str
    """A case, or what several cases have in common."""
    because: str
    """The cause; "not explained" where no row names one."""
    evidence: str
    """The figures it is concluded from."""
    remedy: str


@dataclass(frozen=True, slots=True)
class DoctorFacts:
    """Rows of one run, as `assay.schema.queries` gives them."""

    cases: Sequence[Row]
    measured: Sequence[Row]
    findings: Sequence[Row]
    tensors: Sequence[Row] = ()
    """Rows of `ledger`."""
    sensitivities: Sequence[Row] = ()
    classes: Sequence[Row] = ()
    receipts: Sequence[Row] = ()
    """Of all steps merged, a row an output."""

    def kin(self, case: Row) -> set[str]:
        """Ids of the cases of the same model, version and variant."""
        return {other["case_id"] for other in self.cases if family(other) == family(case)}

    def found(self, case: Row) -> list[Row]:
        """Findings of these cases, each once."""
        names = {(other["name"], other["model_version"]) for other in self.cases if family(other) == family(case)}
        some: dict[tuple[str, str, str], Row] = {}
        for finding in self.findings:
            if (finding["name"], finding["model_version"]) in names:  # the gravest comes first
                some.setdefault((finding["kind"], finding["subject"], finding["message"]), finding)
        return list(some.values())


def family(case: Row) -> tuple[str, str, str]:
    return case["model"], case["model_version"], case["variant"]


def few(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
