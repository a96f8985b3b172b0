"""Checks whose cases are measured beside the others of their table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np

from assay.runner.rules.waiver import Waiver
from assay.runner.run import figures, verdicts
from assay.runner.run.checks.check import Check
from assay.runner.run.figures import Figure
from assay.runner.run.outcome import Outcome, Progress
from assay.runner.run.turns import JobOf, time_in_turns, timed_calls
from assay.runner.suites.case import Case
from assay.runner.timing import statistics
from assay.runner.timing.not_faster import DYNAMIC_CONVOLUTIONS
from assay.runner.timing.statistics import Samples


class TimedCheck(Check):
    """Blocks in turns, the ratio to the one that the others are compared with, figures of what was sampled."""

    median_of = "median"
    """What the headline calls its milliseconds."""

    def apart(self, case: Case) -> str:
        """What cases of one table and workload have to share, beside their check, to be timed in the same turns."""
        del case
        return ""

    def measure(self, outcomes: list[Outcome], job: JobOf, progress: Progress) -> None:
        """Fill in what the cases of one table, check and workload took."""
        time_in_turns(outcomes, job, progress)

    def calls(self, blocks: Samples) -> Samples:
        """Of [launches, blocks, calls], the calls that are compared."""
        return blocks

    def compared_with(self, base: Case) -> str:
        """How the case that ratios are over is named."""
        return f"{base.variant}/{base.backend}"

    def mode_words(self, outcome: Outcome) -> str:
        how = "interleaved" if outcome.group_id else "alone"
        return how if outcome.case.mode == "functional" else f"{how}, {outcome.case.mode}"

    def comparable_by(self, outcome: Outcome) -> str:
        return outcome.case.check

    def figures(self, outcome: Outcome) -> Iterator[Figure]:
        if outcome.blocks:
            yield from self.of_blocks(outcome, np.array(outcome.blocks))
            yield from figures.phases(outcome)
            yield from figures.ratio(outcome)
            yield from figures.of_launches(outcome)
        yield from figures.memory(outcome)
        yield from figures.size(outcome)

    def of_blocks(self, outcome: Outcome, blocks: Samples) -> Iterator[Figure]:
        """Figures of [launches, blocks, calls] in milliseconds."""
        return figures.of_calls(blocks, figures.batch_of(outcome))

    def judge(self, outcome: Outcome, waivers: Sequence[Waiver]) -> None:
        """A finding that fails: what was timed is not what was asked for; and why a variant is slow by its nature."""
        del waivers
        if outcome.status == "ok" and (why := slow_convolutions(outcome)):
            found = {"kind": "why_not_faster", "subject": "ConvInteger", "severity": "warning", "message": why}
            outcome.told.setdefault("finding", []).append(found)
        if outcome.status == "ok":
            verdicts.judge_findings(outcome)

    def headline(self, outcome: Outcome) -> str | None:
        if not outcome.blocks:
            return None
        median = statistics.quantile(timed_calls(outcome), 0.5).value
        return f"{self.median_of} {median:.4g} ms{_ratio_words(outcome)}"


def slow_convolutions(outcome: Outcome) -> str | None:
    """Why a variant under dynamic INT8 is not faster, where its convolutions are why; None where they are not."""
    settings = json.loads(outcome.artifact.settings or "{}") if outcome.artifact else {}
    count = settings.get("integer_operators", {}).get("ConvInteger", 0)
    if not count or outcome.ratio is None or (outcome.ratio.high is not None and outcome.ratio.high < 1):
        return None
    return f"{count} {DYNAMIC_CONVOLUTIONS}"


def _ratio_words(outcome: Outcome) -> str:
    """The ratio to what the case is compared with, what it is taken for, and what would decide it."""
    if outcome.ratio is None:
        return ""
    margin = outcome.case.timing.margin
    verdict = outcome.ratio.outcome(margin)
    needed = outcome.ratio.needed(margin)
    more = f": {needed} launches would decide" if needed else ""
    within = f" within {margin:.0%}" if verdict == "equivalent" else ""
    why = slow_convolutions(outcome)
    return f", {outcome.ratio.value:.3g}x of {outcome.compared_with} ({verdict}{within}{more})" + (
        f": {why}" if why else ""
    )
