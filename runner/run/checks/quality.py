"""Quality: how good a model is at its task, and what it loses against its reference on the same items."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assay.runner.run.checks.told import ToldCheck
from assay.runner.suites.case import Case
from assay.runner.worker.job import CaseJob

if TYPE_CHECKING:
    from assay.runner.run.prepare import Prepared
    from assay.runner.suites.suite import Suite


class QualityCheck(ToldCheck):
    def completed(self, job: CaseJob, suite: Suite, prepared: Prepared, case: Case) -> CaseJob:
        """With the workload itself: its labels and its task."""
        del prepared
        if case.workload not in suite.workload:
            return job
        return replace(job, workload=suite.workload[case.workload].model_dump(mode="json", exclude_none=True))


CHECK = QualityCheck(nothing="no labelled item was answered: there is nothing to count")
