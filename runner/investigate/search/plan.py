"""What a search is asked for, and the part of a suite that it is about."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from assay.runner import environment
from assay.runner.errors import UsageError, nearest
from assay.runner.suites.checks import CHECKS
from assay.runner.suites.suite import CaseTable, Suite, Timing, Variant
from assay.schema.metrics import PRIMARY

BACKEND = "onnxruntime"


@dataclass(frozen=True, slots=True)
class Request:
    model: str
    variant: str
    budget_s: float = 600.0
    max_drop: float = 0.01
    """Relative loss of the main metric that is accepted; the interval's upper end has to keep it where it can."""
    version: str | None = None
    """One of the model's named versions; its last one where there is none given."""
    resume: bool = False
    wait_s: float = 30.0


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """The part of a suite that a search is about."""

    suite: Suite
    model: str
    variant: str
    quality: CaseTable
    timed_on: str
    """The workload that latency is measured on."""
    metric: str
    version: str | None
    identity: str
    """What has to be the same for an earlier search to be continued: the suite's meaning, the model, its version and
    the variant."""
    environment_id: str
    """Of this host and its libraries: times of another are none of this search."""

    def case(self, check: str, variant: str) -> str:
        """The name of a case of this search."""
        workload = self.timed_on if CHECKS[check].timed else self.quality.workloads[0]
        return f"{self.model}/{variant}/{BACKEND}/{workload}/{check}"

    def derived(self, tables: tuple[CaseTable, ...], variants: dict[str, Variant]) -> Suite:
        return self.suite.model_copy(
            update={"name": f"{self.suite.name}-search", "case": tables, "variant": {**self.suite.variant, **variants}}
        )

    def table(self, check: str, variants: tuple[str, ...], workload: str) -> CaseTable:
        return CaseTable.model_validate(
            {
                "check": check,
                "models": (self.model,),
                "variants": variants,
                "workloads": (workload,),
                "backends": (BACKEND,),
                "against": f"fp32/{BACKEND}" if "fp32" in variants else None,
                "timing": Timing(rounds=4, block_ms=50, max_warmup_s=2),
            }
        )


def plan_of(suite: Suite, request: Request) -> SearchPlan:
    """What of a suite a search needs.

    Raises:
        UsageError: it has no such model or variant, the variant is of another recipe, or there is no quality case.
    """
    if request.model not in suite.model:
        raise UsageError(f"suite {suite.name!r} has no model {request.model!r}.{nearest(request.model, suite.model)}")
    if request.variant not in suite.variant:
        raise UsageError(
            f"suite {suite.name!r} has no variant {request.variant!r}.{nearest(request.variant, suite.variant)}"
        )
    if suite.variant[request.variant].recipe != "onnxruntime-static":
        raise UsageError(
            f"variant {request.variant!r} is made by {suite.variant[request.variant].recipe!r}; nodes can be left out"
            " of 'onnxruntime-static' variants."
        )

    def table_with(check: str) -> CaseTable | None:
        return next(
            (t for t in suite.case if request.model in t.models and check in t.checks),
            None,
        )

    quality, timed = table_with("quality"), table_with("benchmark")
    task = suite.workload[quality.workloads[0]].task if quality else None
    if quality is None or task is None:
        raise UsageError(
            f"suite {suite.name!r} has no quality case of {request.model!r}: there is no metric to search by."
        )
    timed_on = (timed or quality).workloads[0]
    about = f"{suite.sha256()}/{request.model}/{request.version}/{request.variant}"
    return SearchPlan(
        suite,
        request.model,
        request.variant,
        quality,
        timed_on,
        PRIMARY[task.kind],
        request.version,
        hashlib.sha256(about.encode()).hexdigest(),
        environment.capture().environment_id,
    )
