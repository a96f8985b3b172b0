"""Generation: the prompt's time and that of every token after it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from assay.runner.run import figures
from assay.runner.run.checks.timed import TimedCheck
from assay.runner.run.figures import Figure
from assay.runner.run.outcome import Outcome
from assay.runner.suites.case import Case
from assay.runner.timing.statistics import Samples


class GenerationCheck(TimedCheck):
    median_of = "a token"

    def calls(self, blocks: Samples) -> Samples:
        """The steps after the prompt."""
        return blocks[:, :, 1:]

    def compared_with(self, base: Case) -> str:
        return f"{super().compared_with(base)}, {base.mode}"

    def comparable_by(self, outcome: Outcome) -> str:
        return f"{outcome.case.check} of {outcome.case.generate.tokens} tokens"

    def of_blocks(self, outcome: Outcome, blocks: Samples) -> Iterator[Figure]:
        return figures.of_generations(blocks, outcome.batch)

    def steps(self, outcome: Outcome) -> list[tuple[int, float]]:
        """Step 0 is the prompt."""
        if outcome.status != "ok" or not outcome.blocks:
            return []
        samples = np.array(outcome.blocks)
        return [(step, float(ms)) for step, ms in enumerate(np.median(samples.reshape(-1, samples.shape[2]), axis=0))]


CHECK = GenerationCheck()
