"""Inputs that measure another one: its lengths, row by row, and its masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from assay.runner.parity.perturb import family, same, wide
from assay.runner.rules.contract import Contract
from assay.runner.tensors import Array, Tensors


@dataclass(frozen=True, slots=True)
class Measured:
    """What an input measures."""

    name: str
    """The input that it measures."""
    axis: int
    """Along which axis of it."""
    how: Literal["length", "mask"]
    dropped: float = 0.0
    """Of a mask, the value that leaves a place out."""


def measured_inputs(recorded: Sequence[Tensors], contract: Contract) -> dict[str, Measured]:
    """Input -> what it measures: by the contract's `valid_length`, else by its values at the recorded steps.

    Lengths are integers, one for all or one for each row, none above the size of some other input's axis, and equal to
    it at some step (or named for it). A mask has two values at most, such as 0 and 1 or 0 and -inf, and another input
    has axes of its sizes.
    """
    if not recorded:
        return {}
    found: dict[str, Measured] = {}
    for name, array in recorded[0].items():
        rule = _by_contract(name, contract) or _length(name, array, recorded) or _mask(name, array, recorded)
        if rule is not None and rule.name in recorded[0]:
            found[name] = rule
    return found


def _by_contract(name: str, contract: Contract) -> Measured | None:
    if name not in contract.inputs:
        return None
    for ports in (contract.inputs, contract.outputs):
        for port_name, port in ports.items():
            rule = port.valid_length
            if rule is None or rule.tensor != name:
                continue
            if port_name in contract.inputs:
                return Measured(port_name, rule.axis % max(len(port.shape), 1), "length")
            symbol = port.shape[rule.axis] if port.shape else None
            for other, theirs in contract.inputs.items():
                if isinstance(symbol, str) and symbol in theirs.shape and other != name:
                    return Measured(other, theirs.shape.index(symbol), "length")
    return None


def _arrays(recorded: Sequence[Tensors], name: str, other: str) -> Iterator[tuple[Array, Array]]:
    return ((step[name], step[other]) for step in recorded if name in step and other in step)


def _length(name: str, array: Array, recorded: Sequence[Tensors]) -> Measured | None:
    if family(array) != "integer" or not array.size or array.ndim > 2:
        return None
    for other, theirs in recorded[0].items():
        rows = {1, theirs.shape[0] if theirs.ndim else 1}
        if other == name or theirs.ndim < 2 or array.size not in rows:
            continue
        for axis in range(1 if array.size > 1 else 0, theirs.ndim):
            pairs = [(wide(a), b.shape[axis]) for a, b in _arrays(recorded, name, other) if b.ndim == theirs.ndim]
            inside = all(a.size and a.min() >= 1 and a.max() <= size for a, size in pairs)
            reached = any(a.max() == size for a, size in pairs if a.size)
            if inside and theirs.shape[axis] > 1 and (reached or "len" in name.lower()):
                return Measured(other, axis, "length")
    return None


def _mask(name: str, array: Array, recorded: Sequence[Tensors]) -> Measured | None:
    if array.ndim < 1 or array.shape[-1] < 2 or family(array) not in ("bool", "integer", "float"):
        return None
    values = np.unique(np.concatenate([wide(step[name]).reshape(-1) for step in recorded if name in step]))
    if values.size > 2 or (values.size == 1 and family(array) != "bool" and "mask" not in name.lower()):
        return None
    low, high = float(values[0]), float(values[-1])
    kept = float(wide(array).reshape(-1)[0])
    if (low, high) not in ((0.0, 1.0), (1.0, 1.0), (0.0, 0.0)) and not (high == 0.0 and low < -1.0):
        return None
    dropped = {0.0: 1.0, 1.0: 0.0}.get(kept, 0.0) if low >= 0 else low
    if values.size == 1 and kept == 0.0 and family(array) != "bool":
        return None  # nothing says what would leave a place out
    for other, theirs in recorded[0].items():
        if other == name or theirs.ndim < array.ndim or _is_flag(theirs):
            continue
        for axis in range(theirs.ndim):
            if all(b.ndim > axis and a.shape[-1] == b.shape[axis] for a, b in _arrays(recorded, name, other)):
                return Measured(other, axis, "mask", dropped)
    return None


def _is_flag(array: Array) -> bool:
    return family(array) == "bool"


def rescaled(array: Array, before: int, after: int) -> Array:
    """Lengths of an axis that had one size and has another: in proportion, the whole staying the whole."""
    if family(array) != "integer" or before == after:
        return array
    values = wide(array)
    made = np.where(values >= before, after, np.clip(np.rint(values * (after / before)), 1, after))
    return made.astype(array.dtype)


def kept_lengths(rows: int, size: int) -> list[int]:
    """How far each row goes, falling from the whole: a third is dropped in the only one, else more in each."""
    if rows == 1:
        return [max(1, size - max(1, size // 3))]
    return [max(1, size - row * size // rows) for row in range(rows)]


def ragged(array: Array, rule: Measured, measured: Array) -> Array:
    """Lengths or a mask that end at another place in each row; unchanged where the axis has one place only.

    Rows fall from the first on; where they did so already, they rise.
    """
    size = measured.shape[rule.axis]
    if size < 2 or (rule.how == "mask" and array.shape[-1] != size):
        return array
    rows = array.size if rule.how == "length" else array.shape[0] if array.ndim > 1 else 1
    falling = kept_lengths(rows, size)
    made = _ending(array, rule, falling, size)
    return made if not same(made, array) else _ending(array, rule, falling[::-1], size)


def _ending(array: Array, rule: Measured, ends: list[int], size: int) -> Array:
    if rule.how == "length":
        return np.array(ends, array.dtype).reshape(array.shape)
    kept = np.array(ends).reshape([len(ends), *[1] * (array.ndim - 1)] if array.ndim > 1 else [1])
    return np.where(np.arange(size) < kept, array, np.asarray(rule.dropped).astype(array.dtype))


def fold(array: Array, recorded: Sequence[Tensors], name: str, before: int, after: int) -> Array:
    """Integers that could be places along an axis, all of them inside it at every step, stay inside a shorter one."""
    if family(array) != "integer" or not array.size or after >= before:
        return array
    seen = [wide(step[name]) for step in recorded if name in step and step[name].size]
    if any(a.min() < 0 or a.max() >= before for a in seen):
        return array
    return (wide(array) % after).astype(array.dtype)
