"""Inputs of other sizes, filled with other data, and what the reference answers to them.

A model that was traced at one size may have that size inside it. Copies hide it: a file that answers every row with the
first one is right for a batch of equal rows. So an axis grows by what other recorded steps hold, and where there is
nothing else, by values that are like those seen and not the same; lengths and masks follow the axis that they measure,
and are tried ragged.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from assay.runner.parity.alone import apart
from assay.runner.parity.measured import Measured, fold, ragged, rescaled
from assay.runner.parity.perturb import family, fresh, others, same, wide
from assay.runner.rules.contract import Contract
from assay.runner.tensors import Array, Tensors

MAX_BYTES = 1 << 30
"""Inputs of a probe are not made larger than this."""
_FEW_ELEMENTS = 1 << 14
"""Inputs of no more elements are also tried one longer, and eight times as long: tables wrap far from the traced size.
"""
_ROWS = (1, 2, 3)
"""Sizes of a leading axis that are always tried."""
RAGGED, OTHER = "ragged", "other"
"""What stands for a size where rows end at different places, or where an input takes values that it never had."""
Place = tuple[str, int]
"""An input, and one of its axes."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Inputs that were not recorded."""

    label: str
    """E.g. `t=10 (traced at 5)`."""
    varied: tuple[tuple[str, str], ...]
    """What differs from the recorded step: (axis or input, size or `ragged`)."""
    inputs: Tensors


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reference answers to a probe."""

    probe: Probe
    outputs: Tensors


@dataclass(frozen=True, slots=True)
class Axis:
    """Places that change size together."""

    symbol: str
    places: tuple[Place, ...]
    size: int
    """As in the recorded step."""

    @property
    def leading(self) -> bool:
        """Whether rows may stand along it: it is the first axis of some input."""
        return any(axis == 0 for _, axis in self.places)


@dataclass(slots=True)
class Sizes:
    """What is needed to make inputs of other sizes: a recorded step, others to borrow from, and what measures what."""

    recorded: Sequence[Tensors]
    at: int
    """The step that is changed."""
    contract: Contract
    measured: Mapping[str, Measured] = field(default_factory=dict)
    """Inputs that hold lengths or masks -> the axis that they measure."""

    @property
    def example(self) -> Tensors:
        return self.recorded[self.at]

    def axes(self, open_axes: Mapping[str, Mapping[int, str]]) -> list[Axis]:
        """The open axes, by the contract's symbol where it has one, else by the graph's.

        A symbol of two sizes cannot be trusted, and is left out.
        """
        symbols: dict[str, list[Place]] = {}
        for name, by_axis in open_axes.items():
            for axis, symbol in by_axis.items():
                if name in self.example and axis < self.example[name].ndim:
                    known = contract_symbol(self.contract, name, axis) or symbol
                    symbols.setdefault(known, []).append((name, axis))
        found = []
        for symbol, places in symbols.items():
            sizes = {self.example[name].shape[axis] for name, axis in places}
            if len(sizes) == 1 and (size := sizes.pop()):
                found.append(Axis(symbol, tuple(places), size))
        return found

    def tried(self, axis: Axis) -> list[int]:
        """Other sizes of an axis, smallest first: half and twice, odd and even, the contract's smallest and largest.

        What the contract's profiles rule out, and what would take too much memory, is left out.
        """
        size, elements = axis.size, sum(self.example[name].size for name, _ in axis.places)
        half = max(1, size // 2)
        asked = [half + (half > 1 and half % 2 == size % 2), size * 2, *(_ROWS if axis.leading else ())]
        asked += [size + 1] if elements <= _FEW_ELEMENTS else []
        asked += [size * 8 + 1] if elements * 8 <= _FEW_ELEMENTS else []
        named = contract_symbol(self.contract, *axis.places[0])
        bounds = [p for p in self.contract.profile.values() if named in p.symbols]
        for profile in bounds:
            bound = profile.symbols[named]
            asked += [bound] if isinstance(bound, int) else [bound[0], bound[2]]
        held = sum(self.example[name].nbytes for name, _ in axis.places)
        return [
            other
            for other in sorted(set(asked) - {size})
            if other > 0
            and (not bounds or any(p.allows(named, other) for p in bounds))
            and held * other // size <= MAX_BYTES
        ]

    def resized(self, axis: Axis, size: int) -> Tensors:
        """The step with one axis cut or grown everywhere, all other inputs as they fit to it."""
        made = dict(self.example)
        donors = self._donors(axis)
        for name, at in axis.places:
            made[name] = self._filled(name, at, size, [donor[name] for donor in donors], axis)
        if axis.leading:
            made = apart(made, dict(axis.places), held={*self.measured, *self.contract.state_inputs})
        for name, rule in self.measured.items():
            if (rule.name, rule.axis) in axis.places and name in made:
                made[name] = rescaled(made[name], axis.size, size)
        if size < axis.size:
            states = self.contract.state_inputs
            made = {
                n: a if n in states or n in self.measured else fold(a, self.recorded, n, axis.size, size)
                for n, a in made.items()
            }
        return made

    def _donors(self, axis: Axis) -> list[Tensors]:
        """Other recorded steps that fit at all places of an axis, and hold something else at one of them."""
        order = [*range(self.at + 1, len(self.recorded)), *range(self.at)]
        found: list[Tensors] = []
        for step in order:
            if all(self._fits(step, *place) for place in axis.places):
                other = self.recorded[step]
                known = [self.example, *found]
                if not any(all(same(other[name], one[name]) for name, _ in axis.places) for one in known):
                    found.append(other)
        return found

    def _fits(self, step: int, name: str, axis: int) -> bool:
        other, mine = self.recorded[step].get(name), self.example[name]
        return (
            other is not None
            and other.dtype == mine.dtype
            and other.ndim == mine.ndim
            and all(a == b for i, (a, b) in enumerate(zip(other.shape, mine.shape, strict=True)) if i != axis)
        )

    def _filled(self, name: str, at: int, size: int, donors: Sequence[Array], axis: Axis) -> Array:
        array = self.example[name]
        have = array.shape[at]
        if size <= have:  # rows are taken from the end: whoever answers with the first one is found out
            start = have - size if axis.leading else 0
            return np.asarray(np.take(array, np.arange(start, start + size), axis=at), order="C")
        ramp = _ramp(array, at, size)
        if ramp is not None:
            return ramp
        random = np.random.default_rng([size, at])
        pieces = [array]
        keeps = name in self.measured  # a length or a mask stays what it may be
        while sum(piece.shape[at] for piece in pieces) < size:
            given = len(pieces) <= len(donors)
            pieces.append(donors[len(pieces) - 1] if given else array if keeps else fresh(array, pieces, random))
        return np.asarray(np.take(np.concatenate(pieces, axis=at), np.arange(size), axis=at), order="C")


def _ramp(array: Array, axis: int, size: int) -> Array | None:
    """Integers that count along an axis (positions) go on counting; None where they do not."""
    if family(array) != "integer" or array.shape[axis] < 2:
        return None
    steps = np.diff(wide(array), axis=axis)
    if not steps.any() or np.unique(steps).size > 1:
        return None
    first = np.take(wide(array), [0], axis=axis)
    along = np.arange(size).reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    return np.asarray(first + along * int(steps.reshape(-1)[0]), order="C").astype(array.dtype)


def contract_symbol(contract: Contract, name: str, axis: int) -> str:
    """The contract's symbol for an axis of an input; "" where it has none."""
    port = contract.inputs.get(name)
    dimension = port.shape[axis] if port and axis < len(port.shape) else ""
    return dimension if isinstance(dimension, str) else ""


def answers(
    infer: Callable[[Tensors], Tensors], sizes: Sizes, open_axes: Mapping[str, Mapping[int, str]]
) -> Iterator[Answer]:
    """What the reference answers at other sizes of each open axis, of all at once, and with ragged lengths and masks.

    Integers, bools and text that no recorded step varies are asked with other values, too.
    A probe that it refuses, or answers with NaN where the recorded step has none, says nothing and is left out. An axis
    that it refuses at every size is tried again with the other axes of that size: a graph may name one thing twice.
    """
    ask = _Asker(infer, infer(sizes.example))
    axes = sizes.axes(open_axes)
    alone: list[Axis] = []
    for axis in axes:
        found = list(ask.all(_of_axis(sizes, axis)))
        yield from found
        alone += [] if found else [axis]
    for size in dict.fromkeys(axis.size for axis in alone):
        like = [axis for axis in axes if axis.size == size]
        if len(like) > 1:
            merged = Axis("=".join(a.symbol for a in like), tuple(p for a in like for p in a.places), size)
            yield from ask.all(_of_axis(sizes, merged))
    if len(axes) > 1:
        yield from ask.all(_together(sizes, axes))
    yield from ask.all(_ragged(sizes, sizes.example, "", ()))
    for name in sizes.example:
        yield from itertools.islice(ask.all(_otherwise(sizes, name)), 1)


class _Asker:
    """The reference, asked for what it has a sane answer to."""

    def __init__(self, infer: Callable[[Tensors], Tensors], calm: Tensors) -> None:
        self._infer = infer
        self._may_be_nan = {name for name, array in calm.items() if _holds_nan(array)}

    def all(self, probes: Iterator[Probe]) -> Iterator[Answer]:
        for probe in probes:
            try:
                outputs = self._infer(probe.inputs)
            except Exception:  # noqa: BLE001,S112  the reference has no answer there, so there is nothing to ask
                continue
            if not any(_holds_nan(array) for name, array in outputs.items() if name not in self._may_be_nan):
                yield Answer(probe, {name: np.array(array) for name, array in outputs.items()})


def _holds_nan(array: Array) -> bool:
    return family(array) in ("float", "complex") and bool(np.isnan(wide(array)).any())


def _of_axis(sizes: Sizes, axis: Axis) -> Iterator[Probe]:
    for size in sizes.tried(axis):
        label, varied = f"{axis.symbol}={size} (traced at {axis.size})", ((axis.symbol, str(size)),)
        made = sizes.resized(axis, size)
        yield Probe(label, varied, made)
        if axis.leading and size == _ROWS[-1]:
            yield from _ragged(sizes, made, f"{label}, ", varied)


def _together(sizes: Sizes, axes: Sequence[Axis]) -> Iterator[Probe]:
    """Every open axis at another size at once, each odd where it was even and even where it was odd."""
    now = Sizes(sizes.recorded, sizes.at, sizes.contract, sizes.measured)
    varied: list[tuple[str, str]] = []
    for axis in axes:
        allowed = now.tried(axis)
        size = next((other for other in allowed if other > 1 and other % 2 != axis.size % 2), axis.size)
        made = now.resized(axis, size)
        varied.append((axis.symbol, str(size)))
        now = Sizes([made], 0, sizes.contract, sizes.measured)
    label = ", ".join(f"{symbol}={size}" for symbol, size in varied) + " together"
    yield Probe(label, tuple(varied), now.example)
    yield from _ragged(sizes, now.example, f"{label}, ", tuple(varied))


def _ragged(sizes: Sizes, inputs: Tensors, before: str, varied: tuple[tuple[str, str], ...]) -> Iterator[Probe]:
    """The same inputs with lengths and masks that end at other places in each row."""
    states = sizes.contract.state_inputs
    rules = {name: rule for name, rule in sizes.measured.items() if name in inputs and name not in states}
    if not rules:
        return
    made = {**inputs, **{name: ragged(inputs[name], rule, inputs[rule.name]) for name, rule in rules.items()}}
    changed = [name for name in rules if not same(made[name], inputs[name])]
    if changed:
        names = ", ".join(changed)
        yield Probe(f"{before}{names} {RAGGED}", (*varied, *((name, RAGGED) for name in changed)), made)


def _otherwise(sizes: Sizes, name: str) -> Iterator[Probe]:
    """The step with other values in an input of whole numbers, bools or text that stood still in all of them."""
    array = sizes.example[name]
    told = name in sizes.measured or name in sizes.contract.state_inputs
    if told or family(array) not in ("integer", "bool", "text"):
        return
    elsewhere = [step[name] for step in sizes.recorded if name in step]
    if all(same(array, other) for other in elsewhere):
        for other in others(array, elsewhere, 0):
            yield Probe(f"{name} of {OTHER} values", ((name, OTHER),), {**sizes.example, name: other})
