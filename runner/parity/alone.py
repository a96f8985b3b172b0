"""Rows of a batch, each by itself: what a batch of distinct rows must not change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.runner.parity.perturb import family, fresh, wide
from assay.runner.tensors import Array, Tensors

_NOISE = 1e-3
"""Relative to the largest value: kernels add up in another order for another batch, and nothing beyond that."""


@dataclass(frozen=True, slots=True)
class RowsAlone:
    """A batch's rows, each answered by itself."""

    inputs: tuple[Tensors, ...]
    outputs: tuple[Tensors, ...]
    axes: Mapping[str, int]
    """Output -> axis along which rows stand, of outputs that are in the batch what they are alone."""
    mixed: Mapping[str, float]
    """Output that is not -> largest |difference|: what stands beside a row changes its answer."""

    @property
    def expected(self) -> Tensors:
        """The outputs that rows have alone, put together as a batch gives them."""
        return {n: np.concatenate([row[n] for row in self.outputs], axis=axis) for n, axis in self.axes.items()}


def row_of(inputs: Tensors, places: Mapping[str, int], row: int) -> Tensors:
    """One row of a batch; inputs that have no rows as they are."""
    return {n: np.take(a, [row], axis=places[n]) if n in places else a for n, a in inputs.items()}


def apart(inputs: Tensors, places: Mapping[str, int], held: Collection[str] = ()) -> Tensors:
    """The inputs with other values in rows that are equal everywhere to an earlier one: a mix-up of equals is not seen.

    `held` are inputs that stay as they are, such as lengths.
    """
    made = {name: np.array(array) if name in places else array for name, array in inputs.items()}
    taken = [name for name in places if name not in held]
    count = next((made[name].shape[axis] for name, axis in places.items()), 0)
    known: set[tuple[bytes, ...]] = set()
    for row in range(count):
        mine = row_of(made, places, row)
        if (content := tuple(mine[name].tobytes() for name in places)) not in known:
            known.add(content)
            continue
        for name in taken:
            place: list[Any] = [slice(None)] * made[name].ndim
            place[places[name]] = slice(row, row + 1)
            made[name][tuple(place)] = fresh(mine[name], [made[name]], np.random.default_rng(row))
    return made


def row_axis(together: Array, alone: Array, count: int) -> int | None:
    """The axis of an output along which the rows stand: `count` in the batch, 1 for a row alone."""
    if together.ndim != alone.ndim:
        return None
    axes = [
        i for i, (many, one) in enumerate(zip(together.shape, alone.shape, strict=True)) if many == count and one == 1
    ]
    return axes[0] if axes else None


def rows_alone(
    infer: Callable[[Tensors], Tensors], inputs: Tensors, together: Tensors, places: Mapping[str, int]
) -> RowsAlone | None:
    """Every row of a batch by itself; None where one is refused, or where there are no rows.

    An output without an axis of rows (a mean over the batch) is in neither list.
    """
    count = next((inputs[name].shape[axis] for name, axis in places.items()), 0)
    if count < 2:
        return None
    rows = tuple(row_of(inputs, places, row) for row in range(count))
    try:
        alone = tuple({n: np.array(a) for n, a in infer(row).items()} for row in rows)
    except Exception:  # noqa: BLE001  a reference that takes no single row has no answer to hold the batch against
        return None
    axes, mixed = {}, {}
    for name, array in together.items():
        if any(name not in row for row in alone) or (axis := row_axis(array, alone[0][name], count)) is None:
            continue
        apart = max(_distance(np.take(array, [i], axis=axis), row[name], array) for i, row in enumerate(alone))
        if apart <= _NOISE:
            axes[name] = axis
        else:
            mixed[name] = apart
    return RowsAlone(rows, alone, axes, mixed)


def _distance(row: Array, alone: Array, batch: Array) -> float:
    """Largest difference over the batch's largest value; infinite where shapes or what is finite differ."""
    if row.shape != alone.shape:
        return np.inf
    if family(row) not in ("float", "complex"):
        return 0.0 if np.array_equal(row, alone) else np.inf
    x, y, whole = wide(row), wide(alone), wide(batch)
    finite = np.isfinite(x)
    if not np.array_equal(x[~finite], y[~finite], equal_nan=True) or not np.isfinite(y[finite]).all():
        return np.inf
    largest = float(np.abs(whole[np.isfinite(whole)]).max(initial=0.0))
    return float(np.abs(x[finite] - y[finite]).max(initial=0.0)) / (largest or 1.0)


def batch_places(places: Sequence[tuple[str, int]], inputs: Tensors, symbol: str) -> dict[str, int] | None:
    """Input -> axis of its rows, where an axis is one of rows; None where it is not.

    It is where the contract calls it B, or where every input that has axes has it, and some input first.
    """
    everywhere = {n for n, _ in places} >= {n for n, a in inputs.items() if a.ndim}
    return dict(places) if symbol == "B" or (everywhere and any(axis == 0 for _, axis in places)) else None
