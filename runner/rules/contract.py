"""Contracts: what a model takes and gives, which outputs are fed back into which inputs, and what always holds.

A TOML file (or the JSON of older harnesses) in, checked types out. The contract is what makes a closed loop possible:
states as output -> input pairs with their padding, valid lengths that mask a comparison, profiles, invariants.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from assay.runner.errors import UsageError, nearest
from assay.runner.rules.expression import InvariantExpression, parse
from assay.runner.rules.strict import StrictModel
from assay.runner.tensors import Array, Tensors, dtype_name, dtype_named
from assay.schema.reading import WRITTEN, json_document, read_text, reading, toml

Dimension = int | str


class ValidLength(StrictModel):
    """Which part of an array counts: the first (or last) `tensor[b]` entries along `axis`, for each row b."""

    tensor: str = Field(description="An output or input with one length for each row of the batch, or one for all.")
    axis: int
    batch_axis: int = 0
    align: Literal["start", "end"] = "start"


class TensorPort(StrictModel):
    """One input or output."""

    dtype: str = "float32"
    shape: tuple[Dimension, ...] = Field(default=(), description="Numbers and symbols.")
    valid_length: ValidLength | None = None

    @model_validator(mode="after")
    def _dtype_exists(self) -> TensorPort:
        dtype_named(self.dtype)
        return self


class Padding(StrictModel):
    """How a state output is brought to its input's size: filled, or cut, on one side of one axis."""

    axis: int
    side: Literal["left", "right"] = "right"
    fill: float = 0.0
    size: PositiveInt | None = Field(default=None, description="The input's size; its shape says it if left out.")


class State(StrictModel):
    """An output that the next step takes as an input."""

    output: str
    input: str
    initial: float = Field(default=0.0, description="What every element is before the first step.")
    pad: Padding | None = None


class Profile(StrictModel):
    """Sizes of the symbols at some steps: what an engine is built for, and what a step is checked against."""

    steps: Literal["first", "steady", "all"] = "all"
    symbols: dict[str, tuple[int, int, int] | int] = Field(
        default={}, description="Size, or [min, opt, max], of a symbol."
    )

    def allows(self, symbol: str, size: int) -> bool:
        bound = self.symbols.get(symbol, size)
        low, high = (bound, bound) if isinstance(bound, int) else (bound[0], bound[2])
        return low <= size <= high


class Contract(StrictModel):
    """See the page `docs/contracts.md`."""

    model: str = ""
    symbols: dict[str, NonNegativeInt] = Field(default={}, description="Sizes used where nothing else says them.")
    inputs: dict[str, TensorPort] = {}
    outputs: dict[str, TensorPort] = {}
    state: tuple[State, ...] = ()
    profile: dict[str, Profile] = {}
    invariants: tuple[str, ...] = ()
    reset: str | None = Field(
        default=None, description="An invariant over a step's inputs: where it holds, states start anew."
    )

    @model_validator(mode="after")
    def _states_exist(self) -> Contract:
        for state in self.state:
            for name, ports, side in ((state.output, self.outputs, "output"), (state.input, self.inputs, "input")):
                if ports and name not in ports:
                    raise ValueError(
                        f"state {state.output} -> {state.input}: there is no {side} {name!r}.{nearest(name, ports)}"
                    )
        for kind in ("input", "output"):
            named = [getattr(state, kind) for state in self.state]
            if twice := {name for name in named if named.count(name) > 1}:
                raise ValueError(f"{kind} {', '.join(sorted(twice))} is in two states")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Contract:
        known = {*self.inputs, *self.outputs, *self.symbols, *self._dimension_names()}
        for text in (*self.invariants, *([self.reset] if self.reset else [])):
            try:
                names = parse(text).names
            except UsageError as error:
                raise ValueError(str(error)) from None
            for name in sorted(names - known) if self.inputs else ():
                raise ValueError(f"invariant {text!r}: there is no {name!r}.{nearest(name, known)}")
        for name, port in (*self.inputs.items(), *self.outputs.items()):
            length = port.valid_length
            if length and known and length.tensor not in known:
                raise ValueError(
                    f"{name}: valid_length names {length.tensor!r}, which is no input or"
                    f" output.{nearest(length.tensor, known)}"
                )
        return self

    def _dimension_names(self) -> set[str]:
        ports = (*self.inputs.values(), *self.outputs.values())
        return {dimension for port in ports for dimension in port.shape if isinstance(dimension, str)}

    @property
    def parsed(self) -> tuple[InvariantExpression, ...]:
        return tuple(parse(text) for text in self.invariants)

    @property
    def state_inputs(self) -> dict[str, State]:
        return {state.input: state for state in self.state}

    def sha256(self) -> str:
        return hashlib.sha256(self.model_dump_json(exclude_defaults=True).encode()).hexdigest()

    def initial_states(self, given: Tensors) -> Tensors:
        """States before the first step; symbols are read from the step's other inputs, then from `symbols`.

        Raises:
            UsageError: a symbol of a state's shape is known nowhere, or the contract says no shape.
        """
        symbols = {**self.symbols, **self.bind(given, self.inputs)}
        made = {}
        for state in self.state:
            port = self.inputs.get(state.input)
            if port is None:
                raise UsageError(
                    f"the contract says nothing of input {state.input!r}: add [inputs.{state.input}] with dtype and"
                    " shape."
                )
            try:
                shape = [size if isinstance(size, int) else symbols[size] for size in port.shape]
            except KeyError as missing:
                raise UsageError(
                    f"the contract does not say how large {missing} of state {state.input!r} is: add it to [symbols]."
                ) from None
            made[state.input] = np.full(shape, state.initial, dtype_named(port.dtype))
        return made

    def bind(self, arrays: Mapping[str, Array], ports: Mapping[str, TensorPort]) -> dict[str, int]:
        """Sizes of the symbols, from the arrays that have them."""
        sizes: dict[str, int] = {}
        for name, port in ports.items():
            array = arrays.get(name)
            if array is not None and len(port.shape) == array.ndim:
                for dimension, size in zip(port.shape, array.shape, strict=True):
                    if isinstance(dimension, str):
                        sizes.setdefault(dimension, size)
        return sizes

    def violations(self, step: int, inputs: Tensors, outputs: Tensors) -> list[str]:
        """Where a step's arrays are not what the contract says.

        Dtypes, ranks, sizes, symbols that disagree, profiles.
        """
        found: list[str] = []
        sizes: dict[str, int] = {}
        for arrays, ports in ((inputs, self.inputs), (outputs, self.outputs)):
            for name, port in ports.items():
                array = arrays.get(name)
                if array is None:
                    found.append(f"{name!r} is missing")
                    continue
                if dtype_name(array) != port.dtype:
                    found.append(f"{name!r} is {dtype_name(array)}, the contract says {port.dtype}")
                if port.shape and len(port.shape) != array.ndim:
                    found.append(f"{name!r} has shape {array.shape}, the contract says {list(port.shape)}")
                    continue
                for dimension, size in zip(port.shape, array.shape, strict=bool(port.shape)):
                    wanted = sizes.setdefault(dimension, size) if isinstance(dimension, str) else dimension
                    if wanted != size:
                        found.append(
                            f"{name!r} has shape {array.shape}, the contract says {list(port.shape)} ({dimension} is"
                            f" {wanted})"
                        )
        when = "first" if step == 0 else "steady"
        for name, profile in self.profile.items():
            if profile.steps in (when, "all"):
                found += [
                    f"{symbol} is {sizes[symbol]}, profile {name!r} allows {profile.symbols[symbol]}"
                    for symbol in profile.symbols
                    if symbol in sizes and not profile.allows(symbol, sizes[symbol])
                ]
        return found

    def mask(self, name: str, array: Array, values: Mapping[str, Array]) -> Array | None:
        """True where an output counts; None when all of it does.

        Raises:
            ValueError: the length's array is missing, or has another number of rows.
        """
        port = self.outputs.get(name)
        if port is None or port.valid_length is None:
            return None
        rule = port.valid_length
        if rule.tensor not in values:
            raise ValueError(f"the valid length of {name!r} is in {rule.tensor!r}, which is not there")
        lengths = np.asarray(values[rule.tensor]).reshape(-1).astype(np.int64)
        axis, batch = rule.axis % array.ndim, rule.batch_axis % array.ndim
        if lengths.size not in (1, array.shape[batch]):
            raise ValueError(f"{rule.tensor!r} has {lengths.size} lengths for {array.shape[batch]} rows of {name!r}")
        size = array.shape[axis]
        positions = np.arange(size).reshape([-1 if i == axis else 1 for i in range(array.ndim)])
        by_row = np.broadcast_to(lengths, array.shape[batch]).reshape(
            [-1 if i == batch else 1 for i in range(array.ndim)]
        )
        counts = positions < by_row if rule.align == "start" else positions >= size - by_row
        return np.broadcast_to(counts, array.shape)


def fit(array: Array, shape: tuple[int, ...], padding: Padding | None) -> Array:
    """A state output as the next step's input: padded or cut on one side where it has another size.

    Raises:
        ValueError: sizes differ and the contract has no rule for it.
    """
    if array.shape == shape:
        return array
    if padding is None:
        raise ValueError(
            f"the state came with shape {array.shape}, its input takes {shape}: the contract needs `pad` for it"
        )
    axis = padding.axis % array.ndim
    have, want = array.shape[axis], padding.size or shape[axis]
    if have > want:
        kept = slice(have - want, None) if padding.side == "left" else slice(0, want)
        array = array[(slice(None),) * axis + (kept,)]
    elif have < want:
        widths = [(0, 0)] * array.ndim
        widths[axis] = (want - have, 0) if padding.side == "left" else (0, want - have)
        array = np.pad(array, widths, constant_values=padding.fill)
    if array.shape != shape:
        raise ValueError(f"the state came with shape {array.shape} after padding, its input takes {shape}")
    return np.asarray(array, order="C")


def load_contract(path: Path) -> Contract:
    """Read a contract: TOML, or the JSON of the harnesses that came before.

    Raises:
        UsageError: missing, not TOML or JSON, or not a contract; names the key.
    """
    text, where = read_text(path, WRITTEN, f"contract {path}"), f"contract {path.name}"
    data = json_document(text, where, WRITTEN) if path.suffix == ".json" else toml(text, where)
    try:
        with reading(where, "a contract", ValidationError):
            return parse_contract(data)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            place = ".".join(str(part) for part in problem["loc"])
            known = Contract.model_fields
            hint = nearest(str(problem["loc"][-1]), known) if problem["type"] == "extra_forbidden" else ""
            lines.append(
                f"contract {path.name}, {place or 'the whole'}: {problem['msg'].removeprefix('Value error, ')}{hint}"
            )
        raise UsageError("\n".join(lines)) from None


def parse_contract(data: dict[str, Any]) -> Contract:
    """A contract from its TOML's dictionary, or from the older JSON's (see `assay.runner.rules.contract_json`)."""
    from assay.runner.rules.contract_json import from_json, is_json_contract

    if isinstance(data, dict):
        data = {name: value for name, value in data.items() if name != "schema_version"}  # what `--json` has printed
    return Contract.model_validate(from_json(data) if is_json_contract(data) else data)


def to_toml(contract: Contract) -> str:
    """The contract as a TOML file that `load_contract` reads back."""
    lines = [f"model = {json.dumps(contract.model)}"] if contract.model else []
    if contract.invariants:
        lines += ["invariants = [", *(f"    {json.dumps(text)}," for text in contract.invariants), "]"]
    if contract.reset:
        lines += [f"reset = {json.dumps(contract.reset)}"]
    if contract.symbols:
        lines += ["", "[symbols]", *(f"{name} = {size}" for name, size in contract.symbols.items())]
    for kind, ports in (("inputs", contract.inputs), ("outputs", contract.outputs)):
        for name, port in ports.items():
            lines += ["", f"[{kind}.{_key(name)}]", *_port_lines(port)]
    for state in contract.state:
        lines += ["", "[[state]]", f"output = {json.dumps(state.output)}", f"input = {json.dumps(state.input)}"]
        lines += [f"initial = {state.initial}", *([f"pad = {_inline(state.pad)}"] if state.pad else [])]
    for name, profile in contract.profile.items():
        bounds = {s: v if isinstance(v, int) else list(v) for s, v in profile.symbols.items()}
        sizes = ", ".join(f"{_key(symbol)} = {json.dumps(bound)}" for symbol, bound in bounds.items())
        lines += ["", f"[profile.{_key(name)}]", f"steps = {json.dumps(profile.steps)}", f"symbols = {{ {sizes} }}"]
    return "\n".join(lines).strip() + "\n"


def _port_lines(port: TensorPort) -> list[str]:
    lines = [f"dtype = {json.dumps(port.dtype)}", f"shape = {json.dumps(list(port.shape))}"]
    return [*lines, *([f"valid_length = {_inline(port.valid_length)}"] if port.valid_length else [])]


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _inline(model: BaseModel) -> str:
    items = model.model_dump(exclude_defaults=True)
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in items.items()) + " }"
