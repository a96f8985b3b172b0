"""What cannot be drawn is refused where it is written: bounds that no value keeps, keys that would change nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from assay.runner.tensors import dtype_named, family_of, range_of
from assay.runner.workloads.kinds import float_range, integer_range, kind_of

if TYPE_CHECKING:
    from assay.runner.workloads.asked import Inputs

_TEXT = ("string", "str", "object")
_BOUNDED = {"normal": ("low", "high"), "uniform": ("low", "high"), "integers": ("low", "high"), "tokens": ("low",)}
_NEEDS = {"value": "value", "tokens": "vocabulary"}


def refuse_impossible(spec: Inputs) -> None:
    """Raises ValueError: what is written cannot be drawn; says which key, and why."""
    if spec.dtype in _TEXT:
        raise ValueError(f"{spec.dtype} cannot be drawn: give text by a generator or a file")
    family_of(dtype_named(spec.dtype))
    if any(size < 0 for size in spec.shape):
        raise ValueError(f"shape {list(spec.shape)} has a negative size")
    _refuse_keys(spec)
    for name in ("low", "high", "value"):
        if (given := getattr(spec, name)) is not None:
            _refuse_number(spec, name, given)
    _refuse_range(spec)


def _refuse_keys(spec: Inputs) -> None:
    kind = spec.distribution
    for needing, key in _NEEDS.items():
        given = getattr(spec, key) is not None
        if kind == needing and not given:
            raise ValueError(f"distribution {needing!r} needs {key}")
        if kind != needing and given:
            raise ValueError(f"distribution {kind!r} takes no {key}")
    for key in ("low", "high"):
        if kind is not None and getattr(spec, key) is not None and key not in _BOUNDED.get(kind, ()):
            raise ValueError(f"distribution {kind!r} takes no {key}")
    if spec.scale != 1 and kind not in (None, "normal"):
        raise ValueError(f"distribution {kind!r} takes no scale")
    if kind == "mask" and not spec.shape:
        raise ValueError("a mask needs an axis along which its rows end")


def _refuse_number(spec: Inputs, name: str, given: float) -> None:
    family = family_of(dtype_named(spec.dtype))
    whole = kind_of(spec) in ("integers", "tokens") or (name == "value" and family in ("bool", "integer"))
    if math.isnan(given) or math.isinf(given):
        if name == "value" and not whole:
            return
        raise ValueError(f"{name} = {given} is no number that {spec.dtype} is drawn by")
    if whole and given != int(given):
        raise ValueError(f"{name} = {given:g} is no whole number, and {spec.dtype} is drawn in whole numbers")
    least, most = range_of(dtype_named(spec.dtype))
    if not least <= given <= (most + 1 if name == "high" and whole else most):
        raise ValueError(f"{name} = {given:g} is beyond {spec.dtype}, which goes from {least:g} to {most:g}")


def _refuse_range(spec: Inputs) -> None:
    if spec.vocabulary is not None and spec.vocabulary - 1 > range_of(dtype_named(spec.dtype))[1]:
        raise ValueError(f"vocabulary = {spec.vocabulary} has ids beyond {spec.dtype}")
    if spec.low is None and spec.high is None:
        return
    low, high = integer_range(spec) if kind_of(spec) in ("integers", "tokens") else float_range(spec)
    if low >= high:
        raise ValueError(
            f"nothing lies from low = {low:g} up to high = {high:g}"
            + ("" if None not in (spec.low, spec.high or spec.vocabulary) else " (the default of what is left out)")
        )
