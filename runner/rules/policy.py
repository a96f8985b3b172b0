"""Policies: rules that turn receipts into verdicts. Pure: dictionaries in, judgements out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, model_validator

from assay.runner.rules.strict import StrictModel
from assay.runner.timing.trend import trend

Receipt = Mapping[str, Any]


class Acceptance(StrictModel):
    """What must hold over the steps of a case, whatever a single step does."""

    pass_rate: float | None = Field(default=None, gt=0, le=1, description="Least fraction of steps that keep the rule.")
    p95_max_abs: NonNegativeFloat | None = Field(
        default=None, description="Largest 95th percentile of max_abs over steps."
    )
    max_abs: NonNegativeFloat | None = Field(default=None, description="Largest max_abs of any step.")
    violations: float | None = Field(
        default=None, ge=0, lt=1, description="Largest fraction of elements outside the rule, over all steps."
    )
    slope: NonNegativeFloat | None = Field(
        default=None,
        description="Largest growth of max_abs per step: Theil and Sen's slope, where its trend is significant.",
    )
    least_steps: int | None = Field(default=None, ge=1, description="Fewer steps than this prove nothing.")


class Band(StrictModel):
    """One grade: an output earns the first band whose limits it keeps."""

    grade: str
    max_abs: NonNegativeFloat | None = None
    max_rel: NonNegativeFloat | None = None
    rel_l2: NonNegativeFloat | None = None
    fails: bool = Field(default=False, description="Whether earning this grade is a failure.")


class Tolerance(StrictModel):
    """Rule and limits for one output; whatever is left out comes from the policy around it."""

    rule: Literal["mixed", "either", "exact"] | None = None
    atol: NonNegativeFloat | None = None
    rtol: NonNegativeFloat | None = None
    sqnr_db: float | None = Field(default=None, description="Least signal-to-quantization-noise ratio in dB.")
    cosine: float | None = Field(default=None, ge=-1, le=1, description="Least cosine similarity.")
    nan_equal: bool | None = Field(default=None, description="Whether NaN in the same place agrees.")
    same_dtype: bool | None = Field(default=None, description="Whether another dtype of the same values fails.")
    constant_ok: bool | None = Field(
        default=None, description="Whether a constant reference may pass; else agreeing with it proves nothing."
    )
    acceptance: Acceptance | None = None
    bands: tuple[Band, ...] | None = None
    ignore: str | None = Field(
        default=None, min_length=1, description="Why this output is not judged: it leaves receipts, and no verdict."
    )


class Limit(StrictModel):
    """A bound on a measurement, e.g. `latency_p50_ms` max 5."""

    metric: str
    max: float | None = None
    min: float | None = None
    good: float | None = Field(
        default=None, description="Up to here it earns the grade `good`, beyond it `acceptable`."
    )
    sure: bool = Field(
        default=False,
        description=(
            "Whether the whole 95 % interval has to keep the limit; an interval on both sides of it is `unknown`."
        ),
    )

    @model_validator(mode="after")
    def _says_something(self) -> Limit:
        if self.max is None and self.min is None:
            raise ValueError("a limit needs max or min")
        return self


class Policy(Tolerance):
    """Tolerances for every output, with exceptions per output, and limits for measurements."""

    outputs: dict[str, Tolerance] = {}
    limits: tuple[Limit, ...] = ()

    def for_output(self, name: str) -> Resolved:
        own = self.outputs.get(name, Tolerance())
        merged = {
            field: mine if (mine := getattr(own, field)) is not None else getattr(self, field)
            for field in Tolerance.model_fields
        }
        return Resolved(**{key: value for key, value in merged.items() if value is not None})

    def definition(self) -> str:
        return json.dumps(self.model_dump(exclude_defaults=True), sort_keys=True)

    def identity(self) -> str:
        return hashlib.sha256(self.definition().encode()).hexdigest()[:32]


class Resolved(StrictModel):
    """A tolerance with nothing left open."""

    rule: Literal["mixed", "either", "exact"] = "mixed"
    atol: float = 1e-5
    rtol: float = 1e-4
    sqnr_db: float | None = None
    cosine: float | None = None
    nan_equal: bool = False
    same_dtype: bool = True
    constant_ok: bool = False
    acceptance: Acceptance | None = None
    bands: tuple[Band, ...] | None = None
    ignore: str | None = None

    def words(self) -> str:
        if self.bands:
            return "bands " + ", ".join(band.grade for band in self.bands)
        if self.rule == "exact":
            return "exact"
        if self.acceptance:
            asked = self.acceptance.model_dump(exclude_none=True)
            return "acceptance " + ", ".join(f"{name} {value:g}" for name, value in asked.items())
        limits = f"atol {self.atol:g}, rtol {self.rtol:g}"
        return f"mixed {limits}" if self.rule == "mixed" else f"either {limits}"


@dataclass(frozen=True, slots=True)
class Judgement:
    outcome: Literal["pass", "fail", "waived", "vacuous", "unknown"]
    reason: str
    rule: str
    grade: str | None = None
    observed: float | None = None
    limit: float | None = None

    @property
    def margin(self) -> float | None:
        """Limit / observed: above 1 is room to spare; infinite when nothing was observed."""
        if self.observed is None or self.limit is None or math.isnan(self.observed):
            return None
        return self.limit / self.observed if self.observed > 0 else math.inf


def judge_output(tolerance: Resolved, merged: Receipt, steps: Sequence[Receipt]) -> Judgement:
    """The verdict on one output, from the receipt of all steps merged and from each step's own.

    Failures are looked for first; what is left is a pass only if something was really compared.
    """
    return _cannot_compare(tolerance, merged) or _breaks_limit(tolerance, merged, steps) or _earned(tolerance, merged)


def _cannot_compare(tolerance: Resolved, merged: Receipt) -> Judgement | None:
    words = tolerance.words()
    if merged["problem"]:
        return Judgement("fail", merged["problem"], words)
    if merged["elements"] == 0:
        skipped = merged["skipped"]
        return Judgement("vacuous", f"nothing was compared ({skipped} elements were masked out)", words)
    if tolerance.same_dtype and merged["expected_dtype"] != merged["actual_dtype"]:
        reason = (
            f"dtype {merged['expected_dtype']} was expected, {merged['actual_dtype']} came (same_dtype = false"
            " allows it)"
        )
        return Judgement("fail", reason, words)
    if merged["nonfinite_mismatches"]:
        reason = (
            f"{merged['nonfinite_mismatches']} elements are NaN or infinite on one side only "
            f"(NaN: {merged['nan_expected']} expected, {merged['nan_actual']} came; "
            f"infinite: {merged['inf_expected']} expected, {merged['inf_actual']} came)"
        )
        if merged["nan_expected"] and merged["nan_expected"] == merged["nan_actual"]:
            reason = (
                f"{merged['nan_expected']} NaN in the reference itself (nan_equal = true accepts them where both have"
                " them)"
            )
        return Judgement("fail", reason, words)
    return None


def _breaks_limit(tolerance: Resolved, merged: Receipt, steps: Sequence[Receipt]) -> Judgement | None:
    words = tolerance.words()
    if tolerance.bands:
        band = next((band for band in tolerance.bands if _within(band, merged)), None)
        if band is None or band.fails:
            reason = f"graded {band.grade}" if band else "outside every band"
            return Judgement(
                "fail", reason, words, band.grade if band else "none", merged["max_rel"], _widest(tolerance)
            )
    elif tolerance.acceptance:
        asked = tolerance.acceptance.least_steps
        if asked is not None and len(steps) < asked:
            return Judgement("vacuous", f"{len(steps)} steps were compared, at least {asked} are asked", words)
        if broken := _not_accepted(tolerance.acceptance, merged, steps):
            return Judgement("fail", broken, words, None, *_tightest(tolerance, merged))
    elif merged["violations"]:
        share = merged["violations"] / merged["elements"]
        reason = f"{merged['violations']} of {merged['elements']} elements ({share:.2%}) are outside the tolerance"
        return Judgement("fail", reason, words, None, *_tightest(tolerance, merged))
    for name, least in (("sqnr_db", tolerance.sqnr_db), ("cosine", tolerance.cosine)):
        if least is not None and (merged[name] is None or not merged[name] >= least):
            return Judgement("fail", f"{name} is {merged[name]}, at least {least:g} is asked", words)
    return None


def _earned(tolerance: Resolved, merged: Receipt) -> Judgement:
    words = tolerance.words()
    if merged["max_abs"] is None:
        return Judgement("vacuous", "no finite pair was compared", words)
    finite_only = not merged["inf_expected"] and not merged["nan_expected"]  # 0 and -infinity are two values
    if merged["elements"] > 1 and merged["expected_std"] == 0 and finite_only and not tolerance.constant_ok:
        value = merged["expected_min"]
        return Judgement("vacuous", f"the reference is constant ({value:g}): agreeing with it proves nothing", words)
    if tolerance.bands:
        band = next(band for band in tolerance.bands if _within(band, merged))
        return Judgement("pass", f"graded {band.grade}", words, band.grade, merged["max_rel"], _widest(tolerance))
    observed, limit = _tightest(tolerance, merged)
    reason = f"{merged['elements']} elements within the tolerance"
    if tolerance.acceptance:
        reason = f"{merged['elements']} elements keep the acceptance over all steps"
    return Judgement("pass", reason, words, None, observed, limit)


def _within(band: Band, merged: Receipt) -> bool:
    pairs = ((band.max_abs, "max_abs"), (band.max_rel, "max_rel"), (band.rel_l2, "rel_l2"))
    return all(limit is None or (merged[name] is not None and merged[name] <= limit) for limit, name in pairs)


def _widest(tolerance: Resolved) -> float | None:
    limits = [band.max_rel for band in tolerance.bands or () if not band.fails and band.max_rel is not None]
    return max(limits, default=None)


def _tightest(tolerance: Resolved, merged: Receipt) -> tuple[float | None, float | None]:
    """The worst element's error, and what was allowed there: the figures behind the margin."""
    if merged["max_abs"] is None:
        return None, None
    if (
        tolerance.acceptance
    ):  # the elements may break the rule; what decides is the limit over the steps, if it is one on errors
        return merged["max_abs"] if tolerance.acceptance.max_abs is not None else None, tolerance.acceptance.max_abs
    magnitude = abs(merged["worst_expected"] or 0.0)
    if tolerance.rule == "exact":
        return merged["max_abs"], 0.0
    if tolerance.rule == "either":
        return merged["max_abs"], max(tolerance.atol, tolerance.rtol * magnitude)
    return merged["max_abs"], tolerance.atol + tolerance.rtol * magnitude


def _not_accepted(acceptance: Acceptance, merged: Receipt, steps: Sequence[Receipt]) -> str | None:
    """Why the steps as a whole are not accepted, or None."""
    checks = (_pass_rate, _largest_errors, _growth, _share)
    return next((broken for check in checks if (broken := check(acceptance, merged, steps)) is not None), None)


def _pass_rate(acceptance: Acceptance, _: Receipt, steps: Sequence[Receipt]) -> str | None:
    if acceptance.pass_rate is None:
        return None
    rate = sum(step["violations"] == 0 for step in steps) / len(steps) if steps else 0.0
    if rate >= acceptance.pass_rate:
        return None
    return f"{rate:.1%} of {len(steps)} steps keep the tolerance, {acceptance.pass_rate:.1%} are asked"


def _largest_errors(acceptance: Acceptance, _: Receipt, steps: Sequence[Receipt]) -> str | None:
    largest = sorted(step["max_abs"] for step in steps if step["max_abs"] is not None)
    if not largest:
        return None
    p95 = largest[max(0, math.ceil(0.95 * len(largest)) - 1)]
    if acceptance.p95_max_abs is not None and p95 > acceptance.p95_max_abs:
        return f"p95 of max_abs over {len(largest)} steps is {p95:.3g}, at most {acceptance.p95_max_abs:g} is allowed"
    if acceptance.max_abs is not None and largest[-1] > acceptance.max_abs:
        return f"max_abs is {largest[-1]:.3g}, at most {acceptance.max_abs:g} is allowed"
    return None


def _growth(acceptance: Acceptance, _: Receipt, steps: Sequence[Receipt]) -> str | None:
    if acceptance.slope is None:
        return None
    found = trend([s["step"] for s in steps], [math.inf if s["max_abs"] is None else s["max_abs"] for s in steps])
    if found is None:
        return f"a slope needs at least 4 steps, there are {len(steps)}"
    if found.direction != "increasing" or found.slope <= acceptance.slope:
        return None
    interval = f"[{found.low:.3g}, {found.high:.3g}]"
    return f"max_abs grows by {found.slope:.3g} a step {interval}, at most {acceptance.slope:g} is allowed"


def _share(acceptance: Acceptance, merged: Receipt, _: Sequence[Receipt]) -> str | None:
    share = merged["violations"] / merged["elements"]
    if acceptance.violations is None or share <= acceptance.violations:
        return None
    return f"{share:.2%} of the elements are outside the tolerance, at most {acceptance.violations:.2%} may be"


def judge_measurement(limit: Limit, value: float, low: float | None = None, high: float | None = None) -> Judgement:
    """The verdict on one number, or with `sure` on its interval; NaN passes no limit."""
    words = f"{limit.metric} " + " ".join(
        f"{name} {bound:g}" for name, bound in (("max", limit.max), ("min", limit.min)) if bound is not None
    )
    if math.isnan(value):
        return Judgement("fail", f"{limit.metric} is NaN", words)
    ends = [value] if not limit.sure or low is None or high is None else [low, high]
    inside = [(limit.max is None or end <= limit.max) and (limit.min is None or end >= limit.min) for end in ends]
    grade = None if limit.good is None else "good" if value <= limit.good else "acceptable"
    reason = f"{limit.metric} is {value:.4g}" + (f" [{low:.4g}, {high:.4g}]" if len(ends) > 1 else "")
    if not all(inside) and (any(inside) or (len(ends) > 1 and _between(limit, value))):
        return Judgement(
            "unknown",
            f"{reason}: not enough evidence, the interval reaches beyond the limit",
            words,
            None,
            value,
            limit.max,
        )
    if limit.sure and len(ends) == 1:
        return Judgement("unknown", f"{reason}, without an interval", words, None, value, limit.max)
    return Judgement("pass" if all(inside) else "fail", reason, words, grade if all(inside) else None, value, limit.max)


def _between(limit: Limit, value: float) -> bool:
    """Whether the value itself keeps both limits, though neither end of its interval does."""
    return (limit.max is None or value <= limit.max) and (limit.min is None or value >= limit.min)
