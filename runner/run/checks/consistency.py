"""Consistency: whether the candidate agrees with itself, and what tolerance that would make."""

from __future__ import annotations

from typing import ClassVar

from assay.runner.run.checks.compared import ComparedCheck
from assay.runner.run.findings import advise_tolerances
from assay.runner.run.outcome import Outcome


class ConsistencyCheck(ComparedCheck):
    advises: ClassVar[bool] = True

    def explain(self, outcome: Outcome) -> None:
        advise_tolerances(outcome)

    def compared(self, outcome: Outcome) -> bool:
        return bool(outcome.judgements)


CHECK = ConsistencyCheck(nothing="nothing finite was compared: the model cannot be consistent")
