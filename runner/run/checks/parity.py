"""Parity: the candidate's outputs against those of its reference, or of a golden."""

from __future__ import annotations

from assay.runner.run.checks.compared import ComparedCheck
from assay.runner.run.evidence import evidence_findings, say_what_ran
from assay.runner.run.findings import parity_findings
from assay.runner.run.outcome import Outcome, is_main


class ParityCheck(ComparedCheck):
    def explain(self, outcome: Outcome) -> None:
        outcome.told["finding"] += parity_findings(outcome)
        outcome.told["finding"] += [*evidence_findings(outcome)]
        say_what_ran(outcome)

    def compared(self, outcome: Outcome) -> bool:
        return any(
            receipt["step"] < 0 and is_main(receipt) and not outcome.case.policy.for_output(receipt["output"]).ignore
            for receipt in outcome.receipts
        )


CHECK = ParityCheck(nothing="nothing was compared: the model has no outputs, or the policy ignores every one")
