"""Other values for an array: like those that it has, and not the same.

A probe that changes an input in a way that it could not be changed proves nothing. So values stay what they were:
floats of the same spread, integers and text that were seen in that input, bools either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import ml_dtypes
import numpy as np

from assay.runner.tensors import Array

Family = Literal["float", "integer", "bool", "complex", "text", "other"]
_HALF = 0.5
_SHRUNK = 0.2
"""A float that is moved to another place loses up to this share of itself: no copy, and inside the range seen."""


def family(array: Array) -> Family:
    """What kind of values an array holds; the narrow types of `ml_dtypes` are floats and integers like the others."""
    kind, name = array.dtype.kind, array.dtype.name
    if kind == "b":
        return "bool"
    if kind in "iu" or "int" in name:
        return "integer"
    if kind == "f" or "float" in name:
        return "float"
    if kind == "c":
        return "complex"
    return "text" if kind in "USOT" else "other"


def same(a: Array, b: Array) -> bool:
    """Whether two arrays are equal in shape and values, NaN equal to NaN."""
    if a.shape != b.shape:
        return False
    if family(a) in ("float", "complex"):
        return bool(np.array_equal(wide(a), wide(b), equal_nan=True))
    return bool(np.array_equal(a, b))


def wide(array: Array) -> Array:
    """The values in a type that numpy computes in: float64, int64 or complex128; bool and text as they are."""
    to: dict[Family, Any] = {"float": np.float64, "integer": np.int64, "complex": np.complex128}
    return array.astype(to[family(array)]) if family(array) in to else array


def others(array: Array, elsewhere: Sequence[Array], seed: int) -> Iterator[Array]:
    """Arrays of the same shape and dtype with other values, the most telling first; nothing of an empty array.

    Floats: with noise as large as their spread (1 where they are constant), as they are `elsewhere` (the same input at
    other steps), and halved. Integers: as elsewhere, permuted, drawn from all values seen, and halved. Bools: as
    elsewhere, the last one flipped, and all of them. Text: as elsewhere, and exchanged among its places.
    """
    if not array.size:
        return
    told = [other for other in elsewhere if other.shape == array.shape and not same(other, array)][:1]
    made: Iterator[Array]
    match family(array):
        case "float" | "complex":
            made = iter([noisy(array, seed), *told, (wide(array) * _HALF).astype(array.dtype)])
        case "integer":
            made = iter([*told, *_integers(array, elsewhere, seed)])
        case "bool":
            last = array.copy()
            last.flat[-1] = ~last.flat[-1]
            made = iter([*told, last, ~array])
        case "text":
            made = iter([*told, np.roll(array.reshape(-1), 1).reshape(array.shape)])
        case _:
            made = iter(told)
    yield from (other for other in made if not same(other, array))


def noisy(array: Array, seed: int) -> Array:
    """Floats with normal noise of their own spread added; what is not finite stays."""
    values = wide(array)
    finite = values[np.isfinite(values)]
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(finite.std()) if finite.size else 0.0
        noise = np.random.default_rng(seed).standard_normal(array.shape) * (spread or 1.0)
        moved = np.where(np.isfinite(values), values + noise, values)
    if family(array) == "float":
        largest = float(ml_dtypes.finfo(array.dtype).max)
        kept = np.isfinite(values) & ~(np.abs(moved) <= largest)  # a mask may be of the lowest float that there is
        moved = np.where(kept, values * _HALF, moved)
    made: Array = moved.astype(array.dtype)
    return made


def _integers(array: Array, elsewhere: Sequence[Array], seed: int) -> Iterator[Array]:
    values, random = wide(array), np.random.default_rng(seed)
    yield np.roll(values.reshape(-1), 1).reshape(values.shape).astype(array.dtype)
    yield drawn_like(array, [array, *elsewhere], random)
    yield (values // 2).astype(array.dtype)


def drawn_like(array: Array, seen: Sequence[Array], random: np.random.Generator) -> Array:
    """Values drawn, each by itself, from all that were seen."""
    known = np.unique(np.concatenate([wide(other).reshape(-1) for other in seen]))
    return np.asarray(random.choice(known, array.shape)).astype(array.dtype)


def fresh(array: Array, seen: Sequence[Array], random: np.random.Generator) -> Array:
    """A plausible stranger of the same shape: for a place where a copy would hide a fault.

    Floats change places and shrink by up to a fifth (zeros alone become small numbers); integers are drawn from those
    seen; bools are either; text changes places.
    """
    match family(array):
        case "float" | "complex":
            moved = random.permutation(wide(array).reshape(-1)).reshape(array.shape)
            share = _SHRUNK * random.random(array.shape)
            made: Array = np.asarray(moved * (1 - share) if moved.any() else share)
            return made.astype(array.dtype)
        case "integer":
            return drawn_like(array, [array, *seen], random)
        case "bool":
            return np.asarray(random.random(array.shape) < _HALF)
        case _:
            return random.permutation(array.reshape(-1)).reshape(array.shape)
