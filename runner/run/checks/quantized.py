"""Checks that look at a quantized file beside the float file that it was made from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assay.runner.run.checks.told import ToldCheck
from assay.runner.run.prepare import calibration_of
from assay.runner.suites.case import Case
from assay.runner.worker.job import CaseJob

if TYPE_CHECKING:
    from assay.runner.run.prepare import Prepared
    from assay.runner.suites.suite import Suite


class QuantizedCheck(ToldCheck):
    def completed(self, job: CaseJob, suite: Suite, prepared: Prepared, case: Case) -> CaseJob:
        """With the float file, how the variant was made of it, and what it was calibrated on."""
        return replace(
            job,
            base=prepared.artifacts[case.variant]["base"] or "",
            recipe=case.recipe.recipe,
            recipe_options=case.recipe.options,
            calibration=calibration_of(suite, case.recipe),
            timeout_s=case.timeout_s,
        )
