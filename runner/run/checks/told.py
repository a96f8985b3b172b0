"""Checks whose worker tells figures and entries, and compares no output."""

from __future__ import annotations

from collections.abc import Sequence

from assay.runner.rules.waiver import Waiver
from assay.runner.run.checks.check import Check
from assay.runner.run.outcome import Outcome


class ToldCheck(Check):
    """A case without a figure says nothing, which is not the same as nothing wrong."""

    def __init__(self, nothing: str) -> None:
        self._nothing = nothing

    def mode_words(self, outcome: Outcome) -> str:
        return outcome.case.check

    def judge(self, outcome: Outcome, waivers: Sequence[Waiver]) -> None:
        del waivers
        if outcome.status == "ok" and not outcome.figures:
            outcome.status, outcome.error_message = "vacuous", self._nothing
