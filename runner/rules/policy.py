"""Policies: rules that turn receipts into verdicts. Pure: dictionaries in, judgements out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from assay.runner.rules.agreement import ONE_CLASS, same_top
from assay.runner.rules.strict import StrictModel
from assay.runner.rules.tolerance import FIELD_RULES, Acceptance, Band, Resolved, Tolerance, resolve
from assay.runner.timing.trend import trend

Receipt = Mapping[str, Any]


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

    def words(self) -> str:
        ends = (("max", self.max), ("min", self.min))
        return " ".join([self.metric, *(f"{name} {bound:g}" for name, bound in ends if bound is not None)])


class Policy(Tolerance):
    """Tolerances for every output, with exceptions per output, and limits for measurements."""

    outputs: dict[str, Tolerance] = {}
    limits: tuple[Limit, ...] = ()

    @model_validator(mode="after")
    def _rules_of_the_field_are_per_output(self) -> Policy:
        if self.rule in FIELD_RULES:
            raise ValueError(f'rule {self.rule} belongs in an output\'s own entry: outputs.NAME.rule = "{self.rule}"')
        return self

    def for_output(self, name: str, dtype: str | None = None) -> Resolved:
        """What is in force for an output; `dtype` is the reference's (None: not known, read as a float)."""
        return resolve(self.outputs.get(name, Tolerance()), self, name, dtype)

    def with_itself(self) -> Policy:
        """The policy for comparing a model with itself: see `Tolerance.with_itself`."""
        outputs = {name: tolerance.with_itself() for name, tolerance in self.outputs.items()}
        return super().with_itself().model_copy(update={"outputs": outputs})  # type: ignore[return-value]

    def asks(self) -> list[tuple[str, str]]:
        """(of what, what is asked): floats, logits, whole numbers, each output that has an entry, measurements."""
        told = [("outputs of floats", self.for_output("").words())]
        if self.top1 is not None:
            told.append(("outputs named as logits or probabilities", self.for_output("logits").words()))
        told.append(("outputs of whole numbers", self.for_output("", "int64").words()))
        for name, own in self.outputs.items():
            told.append((name, f"ignored: {own.ignore}" if own.ignore else self.for_output(name).words()))
        return told + [(limit.metric, limit.words().removeprefix(limit.metric).strip()) for limit in self.limits]

    def words(self) -> str:
        """Everything that is asked, in one line."""
        return "; ".join(f"{of}: {asks}" for of, asks in self.asks())

    def definition(self) -> str:
        return json.dumps(self.model_dump(exclude_defaults=True), sort_keys=True)

    def identity(self) -> str:
        return hashlib.sha256(self.definition().encode()).hexdigest()[:32]


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
    if is_text(merged["expected_dtype"]):
        return _cannot_compare(tolerance, merged) or _judge_text(tolerance, merged, steps)
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
    if tolerance.acceptance:
        asked = tolerance.acceptance.least_steps
        if asked is not None and len(steps) < asked:
            return Judgement("vacuous", f"{len(steps)} steps were compared, at least {asked} are asked", words)
        if broken := _not_accepted(tolerance.acceptance, merged, steps):
            return Judgement("fail", broken, words, None, *_tightest(tolerance, merged))
    if tolerance.asks_elements and merged["violations"]:
        return Judgement("fail", _violated(tolerance, merged), words, None, *_tightest(tolerance, merged))
    return _misses_ratio(tolerance, merged)


def _violated(tolerance: Resolved, merged: Receipt) -> str:
    """How many elements broke the rule; of whole numbers also which, in all their digits."""
    share = merged["violations"] / merged["elements"]
    if not tolerance.whole:
        reason = f"{merged['violations']} of {merged['elements']} elements ({share:.2%}) are outside the tolerance"
        return reason + (f": {merged['detail']}" if merged.get("detail") else "")
    limit = f" by more than {tolerance.atol:g}" if tolerance.atol else ""
    reason = f"{merged['violations']} of {merged['elements']} elements ({share:.2%}) differ{limit}"
    if merged.get("detail"):
        return f"{reason}: {merged['detail']}"
    pair = json.loads(merged.get("worst_pair") or "null")
    return reason + (f", the most: {pair[0]} was expected, {pair[1]} came" if pair else "")


def _misses_ratio(tolerance: Resolved, merged: Receipt) -> Judgement | None:
    """Limits on the output as a whole. Where nothing differs they hold, also where a ratio has no value (all zeros)."""
    words = tolerance.words()
    equal = merged["max_abs"] == 0 and not merged["violations"]
    for name, least in (("sqnr_db", tolerance.sqnr_db), ("cosine", tolerance.cosine)):
        if least is not None and not equal and (merged[name] is None or not merged[name] >= least):
            said = "not known" if merged[name] is None else f"{merged[name]:.4g}"
            return Judgement("fail", f"{name} is {said}, at least {least:g} is asked", words)
    if tolerance.top1 is None:
        return None
    if ONE_CLASS in (merged.get("detail") or ""):
        return None
    counted = same_top(merged.get("detail"))
    if counted is None:
        return Judgement("unknown", "the receipt does not say in how many rows the largest element is the same", words)
    if counted[0] < tolerance.top1 * counted[1]:
        reason = f"top-1 is the same in {counted[0]} of {counted[1]} rows, at least {tolerance.top1:g} of them is asked"
        return Judgement("fail", reason, words)
    return None


def _earned(tolerance: Resolved, merged: Receipt) -> Judgement:
    words = tolerance.words()
    if merged["max_abs"] is None:
        return Judgement("vacuous", "no finite pair was compared", words)
    if merged["elements"] > 1 and _constant(merged) and not tolerance.constant_ok:
        value = f"{merged['expected_min']:.0f}" if tolerance.whole else f"{merged['expected_min']:g}"
        return Judgement("vacuous", f"the reference is constant ({value}): agreeing with it proves nothing", words)
    if tolerance.bands:
        band = next(band for band in tolerance.bands if _within(band, merged))
        return Judgement("pass", f"graded {band.grade}", words, band.grade, merged["max_rel"], _widest(tolerance))
    observed, limit = _tightest(tolerance, merged)
    return Judgement("pass", _earned_words(tolerance, merged), words, None, observed, limit)


def _earned_words(tolerance: Resolved, merged: Receipt) -> str:
    """What held, no more than was asked."""
    held = f"{merged['elements']} elements"
    if tolerance.acceptance and tolerance.acceptance.limits:
        held += " keep the acceptance over all steps"
    elif tolerance.asks_elements:
        exact = " are equal" if tolerance.whole and not tolerance.atol else " within the tolerance"
        held += " keep the rule" if tolerance.rule in FIELD_RULES else exact
    ratios = [
        f"{name} {merged[name]:.4g}"
        for name in ("sqnr_db", "cosine")
        if getattr(tolerance, name) is not None and merged[name] is not None
    ]
    told = [*ratios, *([merged["detail"]] if merged.get("detail") else [])]
    return held + (f": {', '.join(told)}" if told else "")


def _constant(merged: Receipt) -> bool:
    """Whether every value of the reference is one and the same; infinities and NaN beside finite values are others."""
    return merged["expected_std"] == 0 and not merged["inf_expected"] and not merged["nan_expected"]


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
    if tolerance.acceptance and tolerance.acceptance.limits:
        # the elements may break the rule; what decides is the limit over the steps, if it is one on errors
        return merged["max_abs"] if tolerance.acceptance.max_abs is not None else None, tolerance.acceptance.max_abs
    if not tolerance.asks_elements or tolerance.rule in FIELD_RULES:
        return None, None  # ratios and pairings have no distance that a limit could be divided by
    return merged["max_abs"], tolerance.allowed(merged["worst_expected"] or 0.0)


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
    words = limit.words()
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


def is_text(dtype: str | None) -> bool:
    """Whether a receipt's dtype is text: `string`, or numpy's own name of such an array."""
    return dtype is not None and dtype.startswith(("str", "object", "bytes"))


def _judge_text(tolerance: Resolved, merged: Receipt, steps: Sequence[Receipt]) -> Judgement:
    """Text is equal or not: no rule for distances, no ratio and no band means anything; an acceptance counts it."""
    asked, few = tolerance.acceptance, None
    if asked and asked.least_steps is not None and len(steps) < asked.least_steps:
        few = f"{len(steps)} steps were compared, at least {asked.least_steps} are asked"
    if asked and (asked.pass_rate is not None or asked.violations is not None):
        broken = _pass_rate(asked, merged, steps) or _share(asked, merged, steps)
    else:
        broken = _other_text(merged)
    if broken and not few:
        return Judgement("fail", broken, "exact")
    if few:
        return Judgement("vacuous", few, "exact")
    if merged["elements"] > 1 and merged["expected_std"] == 0 and not tolerance.constant_ok:
        return Judgement("vacuous", "the reference says one text everywhere: agreeing with it proves nothing", "exact")
    reason = "texts are equal" if not merged["violations"] else "texts keep the acceptance over all steps"
    return Judgement("pass", f"{merged['elements']} {reason}", "exact")


def _other_text(merged: Receipt) -> str | None:
    """How many texts differ, and the first of them."""
    if not merged["violations"]:
        return None
    share = merged["violations"] / merged["elements"]
    pair = json.loads(merged.get("worst_pair") or "null")
    first = f": {pair[0]!r} was expected, {pair[1]!r} came" if pair else ""
    return f"{merged['violations']} of {merged['elements']} texts ({share:.2%}) differ{first}"
