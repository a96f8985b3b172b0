"""Optimization profiles: the sizes that an engine is built for, from a contract and from what the workloads give.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from assay.runner.errors import UsageError

Shape = tuple[int, ...]
Range = tuple[Shape, Shape, Shape]
"""Least, usual and largest shape of an input: what `IOptimizationProfile.set_shape` takes."""
Bound = int | Sequence[int]
"""A size, or [least, usual, largest]."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Everything that says how large a dynamic axis may be, in the names of the file that the engine is built from."""

    shapes: Mapping[str, Sequence[int | str]] = field(default_factory=dict)
    """Of each input in the contract: numbers and symbols."""
    profiles: Mapping[str, Mapping[str, Bound]] = field(default_factory=dict)
    """The contract's: name -> symbol -> sizes."""
    symbols: Mapping[str, int] = field(default_factory=dict)
    seen: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    """Shapes of each input in the workloads."""


def profiles(inputs: Mapping[str, Shape], sizes: Sizes) -> list[dict[str, Range]]:
    """One profile for each of the contract's; without any, one that spans what the workloads give.

    Empty where every axis is fixed.

    `inputs` are the file's, -1 for a dynamic axis. A fixed axis stays as it is; a symbol's size is the profile's, then
    the contract's, then
    the workloads' (least, most frequent, largest).

    Raises:
        UsageError: nothing says how large an axis is.
    """
    if all(size >= 0 for shape in inputs.values() for size in shape):
        return []
    named = sizes.profiles or {"workload": {}}
    made = [{name: _range(name, shape, bounds, sizes) for name, shape in inputs.items()} for bounds in named.values()]
    return [profile for i, profile in enumerate(made) if profile not in made[:i]]


def _range(name: str, shape: Shape, bounds: Mapping[str, Bound], sizes: Sizes) -> Range:
    symbols = sizes.shapes.get(name, ())
    if symbols and len(symbols) != len(shape):
        raise UsageError(f"the contract gives input {name!r} {len(symbols)} axes, the file {len(shape)}.")
    axes = [
        (size,) * 3 if size >= 0 else _bound(name, axis, symbols[axis] if symbols else None, bounds, sizes)
        for axis, size in enumerate(shape)
    ]
    least, usual, largest = (tuple(axis[i] for axis in axes) for i in range(3))
    return least, usual, largest


def _bound(
    name: str, axis: int, symbol: int | str | None, bounds: Mapping[str, Bound], sizes: Sizes
) -> tuple[int, int, int]:
    given: Bound | None = (
        symbol if isinstance(symbol, int) else bounds.get(symbol, sizes.symbols.get(symbol)) if symbol else None
    )
    if isinstance(given, int):
        return given, given, given
    if given is not None:
        least, usual, largest = given
        return least, usual, largest
    seen = [shape[axis] for shape in sizes.seen.get(name, ()) if len(shape) > axis]
    if not seen:
        where = f" ({symbol})" if symbol else ""
        raise UsageError(
            f"nothing says how large axis {axis}{where} of input {name!r} is: add it to a profile of the model's"
            " contract."
        )
    return min(seen), Counter(seen).most_common(1)[0][0], max(seen)


def fitting(ranges: Sequence[Mapping[str, Range]], shapes: Mapping[str, Shape]) -> int | None:
    """The first profile that allows these shapes, the one whose usual shapes they are before any other.

    None where no profile does.
    """
    allowed = [
        number
        for number, profile in enumerate(ranges)
        if all(
            len(shape) == len(profile[name][0])
            and all(
                low <= size <= high for low, size, high in zip(profile[name][0], shape, profile[name][2], strict=True)
            )
            for name, shape in shapes.items()
            if name in profile
        )
    ]
    exactly = [
        n
        for n in allowed
        if all(tuple(ranges[n][name][1]) == tuple(shape) for name, shape in shapes.items() if name in ranges[n])
    ]
    return next(iter(exactly or allowed), None)


def as_text(profile: Mapping[str, Range], which: int) -> str:
    """The least (0), usual (1) or largest (2) shapes as ONNX Runtime's TensorRT provider and trtexec write them.

    `x:1x3x8,y:1`.
    """
    return ",".join(f"{name}:{'x'.join(map(str, ranges[which]))}" for name, ranges in profile.items())
