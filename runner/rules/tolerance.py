"""What an output is held against: the rule for its elements, limits on the whole, and which of them are in force. Pure.

Two decisions are made here and nowhere else. Whole numbers (integers, bools, text) are compared exactly; only an
output's own entry says otherwise, in units. And a limit that is named alone (cosine, SQNR, bands, ...) replaces the
default rule for elements, which nobody asked for; a rule that is named beside it stays.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from assay.runner.rules.strict import StrictModel

Rule = Literal["mixed", "either", "exact", "order", "set", "angle", "boxes", "tokens"]
FIELD_RULES = ("order", "set", "angle", "boxes", "tokens")
"""Rules that say which elements belong together before they are compared; each in an output's own entry."""
LIMITS = "limits"
"""What a receipt's `rule` says where no rule for elements is in force."""
_OPTIONS: dict[str, tuple[str, ...]] = {
    "order": ("by", "axis"),
    "set": ("axis",),
    "angle": ("period",),
    "boxes": ("by", "classes", "iou", "format"),
    "tokens": ("end", "axis"),
}
_NEEDED = {"order": "by", "angle": "period", "tokens": "end"}
_WHOLE = re.compile(r"u?int\d+$|bool|str|bytes|object")
_LOGITS = re.compile(r"(^|[^a-z])(log_?)?(logits?|probs?|probabilit(y|ies)|softmax)([^a-z]|$)")
_PER_OUTPUT = ("nan_equal", "same_dtype", "constant_ok", "ignore")
"""What a policy says for every output, whole numbers too: none of it is a distance."""


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

    @property
    def counts_elements(self) -> bool:
        """Whether it says how many elements or steps may break the rule, so that not every one has to keep it."""
        return self.pass_rate is not None or self.violations is not None

    @property
    def limits(self) -> bool:
        """Whether anything is asked of the errors: a number of steps alone is not."""
        return bool(self.model_dump(exclude_none=True, exclude={"least_steps"}))


class Band(StrictModel):
    """One grade: an output earns the first band whose limits it keeps."""

    grade: str
    max_abs: NonNegativeFloat | None = None
    max_rel: NonNegativeFloat | None = None
    rel_l2: NonNegativeFloat | None = None
    fails: bool = Field(default=False, description="Whether earning this grade is a failure.")


class Tolerance(StrictModel):
    """Rule and limits for one output; whatever is left out comes from the policy around it.

    Whole numbers take no distance from there: they are exact unless their own entry says how far, in units.
    """

    rule: Rule | None = Field(
        default=None,
        description=(
            "`mixed` (default): atol + rtol |expected|; `either` of the two; `exact`. In an output's own entry also"
            " `order`, `set`, `angle`, `boxes` and `tokens`."
        ),
    )
    atol: NonNegativeFloat | None = Field(default=None, description="Absolute; of whole numbers, in units.")
    rtol: NonNegativeFloat | None = Field(default=None, description="Relative; never of whole numbers or angles.")
    sqnr_db: float | None = Field(default=None, description="Least signal-to-quantization-noise ratio in dB.")
    cosine: float | None = Field(default=None, ge=-1, le=1, description="Least cosine similarity.")
    top1: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description=(
            "Least share of rows whose largest element along the last axis is at the same place. For every output, of"
            " those whose name says that they are logits or probabilities; in an output's own entry, of that output."
        ),
    )
    by: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "Of `order`: the output with the scores, or, for what was gathered, the output with the indices. Of"
            " `boxes`: the output with the boxes, for what belongs to each of them."
        ),
    )
    axis: int | None = Field(
        default=None, description="Of `order`, `set`, `tokens`: along which; the last if left out."
    )
    period: PositiveFloat | None = Field(default=None, description="Of `angle`: 360, or 6.283185307179586.")
    end: int | None = Field(
        default=None, description="Of `tokens`: the id that ends a sequence; what follows is padding."
    )
    classes: str | None = Field(default=None, description="Of `boxes`: the output with the class of each box.")
    iou: float | None = Field(
        default=None, gt=0, le=1, description="Of `boxes`: least intersection over union of a pair; 0.5 if left out."
    )
    format: Literal["xyxy", "xywh", "cxcywh"] | None = Field(
        default=None, description="Of `boxes`: what the four numbers are; `xyxy` if left out."
    )
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

    @model_validator(mode="after")
    def _options_belong(self) -> Tolerance:
        mine = _OPTIONS.get(self.rule or "", ())
        for option in sorted({name for names in _OPTIONS.values() for name in names}):
            if getattr(self, option) is not None and option not in mine:
                rules = " and ".join(rule for rule, names in _OPTIONS.items() if option in names)
                raise ValueError(f"`{option}` belongs to rule {rules}, not to {self.rule or 'the default rule'}")
        needed = _NEEDED.get(self.rule or "")
        if needed and getattr(self, needed) is None:
            raise ValueError(f"rule {self.rule} needs `{needed}`")
        if self.rule == "boxes" and self.by and (self.classes or self.iou or self.format):
            raise ValueError("classes, iou and format stand in the entry of the boxes, not of what belongs to them")
        return self

    def with_itself(self) -> Tolerance:
        """For comparing a model with itself: NaN twice is the same answer, and nothing was approximated.

        What an artifact is forgiven (acceptance, bands, ratios) repetition does not need: the rule for elements holds.
        """
        none = dict.fromkeys(("acceptance", "bands", "sqnr_db", "cosine", "top1"))
        return self.model_copy(update={**none, "nan_equal": True})


def is_whole(dtype: str | None) -> bool:
    """Whether values of a dtype are told apart, not measured: integers, bools, text. False where it is not known."""
    return dtype is not None and _WHOLE.match(dtype) is not None


def is_logits(name: str) -> bool:
    """Whether an output's name says that its last axis are classes: logits, log_probs, probabilities, softmax."""
    return _LOGITS.search(name.lower()) is not None


class Resolved(StrictModel):
    """A tolerance with nothing left open."""

    rule: Literal["mixed", "either", "exact", "order", "set", "angle", "boxes", "tokens", "limits"] = "mixed"
    atol: float = 1e-5
    rtol: float = 1e-4
    whole: bool = False
    """Whether the reference's values are whole numbers, bools or text: atol is in units then."""
    sqnr_db: float | None = None
    cosine: float | None = None
    top1: float | None = None
    by: str | None = None
    axis: int = -1
    period: float = 0.0
    end: int = 0
    classes: str | None = None
    iou: float = 0.5
    format: Literal["xyxy", "xywh", "cxcywh"] = "xyxy"
    nan_equal: bool = False
    same_dtype: bool = True
    constant_ok: bool = False
    acceptance: Acceptance | None = None
    bands: tuple[Band, ...] | None = None
    ignore: str | None = None

    @property
    def asks_elements(self) -> bool:
        """Whether every element has to keep the rule."""
        return self.rule != LIMITS and not (self.acceptance and self.acceptance.counts_elements)

    @property
    def recorded_rule(self) -> str:
        """As a receipt keeps it: a rule of the field with everything that decides what is compared with what."""
        options = {name: getattr(self, name) for name in _OPTIONS.get(self.rule, ())}
        told = [
            f"{name} {value}"
            for name, value in options.items()
            if value is not None and not (self.rule == "boxes" and self.by and name != "by")
        ]
        return " ".join([self.rule, ", ".join(told)]).strip()

    def allowed(self, magnitude: float) -> float:
        """The largest error that an element of this expected size may have; infinite without a rule for elements."""
        if self.rule == LIMITS:
            return float("inf")
        if self.rule == "exact":
            return 0.0
        relative = self.rtol * abs(magnitude)
        return max(self.atol, relative) if self.rule == "either" else self.atol + relative

    def kernel(self) -> dict[str, Any]:
        """The settings of `assay.runner.parity.compare.tally`, which knows three rules and no more."""
        if self.rule == LIMITS:
            return {"rule": "mixed", "atol": float("inf"), "rtol": 0.0, "nan_equal": self.nan_equal}
        rule = "mixed" if self.rule in FIELD_RULES else self.rule
        return {"rule": rule, "atol": self.atol, "rtol": self.rtol, "nan_equal": self.nan_equal}

    def words(self) -> str:
        """Everything that is asked, and nothing that is not."""
        told = ["bands " + ", ".join(band.grade for band in self.bands)] if self.bands else []
        element = None if self.rule == LIMITS else self._element_words()
        if self.acceptance and (asked := self.acceptance.model_dump(exclude_none=True)):
            said = "acceptance " + ", ".join(f"{name} {value:g}" for name, value in asked.items())
            told.append(f"{said} (counted by {element})" if self.acceptance.counts_elements else said)
        if element and self.asks_elements:
            told.append(element)
        ratios = ((name, getattr(self, name)) for name in ("sqnr_db", "cosine", "top1"))
        told += [f"{name} at least {least:g}" for name, least in ratios if least is not None]
        return "; ".join(told)

    def _element_words(self) -> str:
        if self.whole or self.rule == "exact":
            distance = f"within {self.atol:g} unit{'' if self.atol == 1 else 's'}" if self.atol else "exact"
        else:
            distance = f"atol {self.atol:g}, rtol {self.rtol:g}"
        if self.rule in ("mixed", "either", "exact"):
            return distance if self.whole or self.rule == "exact" else f"{self.rule} {distance}"
        if self.rule == "angle":
            return f"angle with period {self.period:g}, {f'atol {self.atol:g}' if self.atol else 'exact'}"
        by_scores = self.rule == "order" and self.whole
        return self.recorded_rule + ("" if by_scores else f", {distance}")


def resolve(own: Tolerance, around: Tolerance, name: str, dtype: str | None) -> Resolved:
    """What is in force for one output: its own entry, then the policy around it, then the default.

    `dtype` is the reference's; None where it is not known, which is read as a float. The default rule for elements
    (mixed, atol 1e-5, rtol 1e-4) stands where nothing else is asked. A policy's distances never apply to whole numbers.
    """
    whole = is_whole(dtype)
    fields: dict[str, Any] = {}
    for field in Tolerance.model_fields:
        mine, theirs = getattr(own, field), getattr(around, field)
        inherits = not whole or field in _PER_OUTPUT
        fields[field] = mine if mine is not None else theirs if inherits else None
    if fields["top1"] is not None and own.top1 is None and not is_logits(name):
        fields["top1"] = None
    if whole and around.acceptance and around.acceptance.least_steps and own.acceptance is None:
        fields["acceptance"] = Acceptance(least_steps=around.acceptance.least_steps)
    acceptance = fields["acceptance"]
    limited = any(fields[f] is not None for f in ("sqnr_db", "cosine", "top1", "bands"))
    limited = limited or bool(acceptance and acceptance.limits)
    named = any(fields[f] is not None for f in ("rule", "atol", *(() if whole else ("rtol",))))
    counted = bool(acceptance and acceptance.counts_elements)
    if limited and not named and not counted:
        fields |= {"rule": LIMITS, "atol": 0.0, "rtol": 0.0}
    elif whole:
        fields |= _in_units(fields, dtype)
    elif fields["rule"] == "exact":
        fields |= {"atol": 0.0, "rtol": 0.0}
    elif fields["rule"] == "angle":
        fields["rtol"] = 0.0
    return Resolved(whole=whole, **{key: value for key, value in fields.items() if value is not None})


def _in_units(fields: dict[str, Any], dtype: str | None) -> dict[str, Any]:
    """Whole numbers: exact, or so many units; there is nothing between two bools or two texts."""
    units = 0.0 if fields["rule"] == "exact" or "int" not in str(dtype) else fields["atol"] or 0.0
    rule = fields["rule"] if fields["rule"] in FIELD_RULES else "mixed" if units else "exact"
    return {"rule": rule, "atol": units, "rtol": 0.0}
