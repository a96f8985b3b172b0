"""What a check decides of its cases.

The defaults are those of a check that tells what it finds and compares nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from assay.runner.rules.waiver import Waiver
from assay.runner.run.figures import Figure, size
from assay.runner.run.outcome import Outcome
from assay.runner.suites.case import Case
from assay.runner.worker.job import CaseJob

if TYPE_CHECKING:
    from assay.runner.run.prepare import Prepared
    from assay.runner.suites.suite import Suite


class Check:
    """One kind of question about a case: its job, its figures and rows, its verdicts, its headline."""

    advises: ClassVar[bool] = False
    """Whether it proposes a tolerance, for which the reference runs more steps in other arithmetic."""

    def completed(self, job: CaseJob, suite: Suite, prepared: Prepared, case: Case) -> CaseJob:
        """The job with what its worker is told beside what every worker is."""
        del suite, prepared, case
        return job

    def session_options(self, case: Case) -> dict[str, Any]:
        """What the backend is told beside what the suite writes."""
        del case
        return {}

    def mode_words(self, outcome: Outcome) -> str:
        """The case's `mode` as it is recorded."""
        return outcome.case.mode

    def comparable_by(self, outcome: Outcome) -> str:
        """What two cases have to share to be one series, as far as their mode goes."""
        return self.mode_words(outcome)

    def figures(self, outcome: Outcome) -> Iterable[Figure]:
        """Figures of a case that came to its end: what its worker told, and the artifact's size beside any."""
        told = [Figure.told(event) for event in outcome.figures]
        return [*told, *size(outcome)] if told else []

    def steps(self, outcome: Outcome) -> list[tuple[int, float]]:
        """(step, median milliseconds) of a case whose calls are made of steps; else none."""
        del outcome
        return []

    def judge(self, outcome: Outcome, waivers: Sequence[Waiver]) -> None:
        """Fill in the verdicts that are its own; limits of a policy are judged for every check."""

    def headline(self, outcome: Outcome) -> str | None:
        """The case in few words when nothing went wrong; None where its verdicts say it."""
        del outcome
        return None
