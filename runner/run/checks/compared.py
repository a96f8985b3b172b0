"""Checks that compare outputs under a policy: with a right side, or with themselves."""

from __future__ import annotations

from collections.abc import Sequence

from assay.runner.rules.waiver import Waiver
from assay.runner.run import verdicts
from assay.runner.run.checks.check import Check
from assay.runner.run.findings import gather
from assay.runner.run.outcome import Outcome
from assay.runner.run.unknown_names import unknown_names


class ComparedCheck(Check):
    """Receipts become verdicts, findings explain them, and waivers cover failures."""

    def __init__(self, nothing: str) -> None:
        self._nothing = nothing

    def explain(self, outcome: Outcome) -> None:
        """Add the findings that are its own to what was told."""

    def compared(self, outcome: Outcome) -> bool:
        """Whether anything was compared at all."""
        raise NotImplementedError

    def judge(self, outcome: Outcome, waivers: Sequence[Waiver]) -> None:
        if outcome.status != "ok":
            return
        gather(outcome)
        outcome.told["finding"] += unknown_names(outcome, waivers)
        self.explain(outcome)
        verdicts.judge_outputs(outcome)
        verdicts.judge_probes(outcome)
        if not self.compared(outcome):
            outcome.status, outcome.error_message = "vacuous", self._nothing
        verdicts.judge_findings(outcome)
        verdicts.waive(outcome, waivers)
