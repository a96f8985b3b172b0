"""Arrays as PyTorch's tensors and back, and what a module takes and gives as tensors with names.

numpy lacks bfloat16 and the float8 types: they travel as integers of their size. What a module gives may be nested
(dictionaries, tuples, dataclasses, caches): its tensors are named by where they lie, `hidden.0`, `past.layers.0.keys`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import torch

from assay.runner.tensors import Array, is_text

_PYTREE: Any = torch.utils._pytree  # noqa: SLF001  the public way to walk over outputs is this private name

_CARRIED = {
    torch.bfloat16: (torch.int16, ml_dtypes.bfloat16),
    torch.float8_e4m3fn: (torch.uint8, ml_dtypes.float8_e4m3fn),
    torch.float8_e4m3fnuz: (torch.uint8, ml_dtypes.float8_e4m3fnuz),
    torch.float8_e5m2: (torch.uint8, ml_dtypes.float8_e5m2),
    torch.float8_e5m2fnuz: (torch.uint8, ml_dtypes.float8_e5m2fnuz),
}
"""Types that numpy has only by ml_dtypes: they travel as integers of their size."""
_BY_NAME = {np.dtype(theirs).name: ours for ours, (_, theirs) in _CARRIED.items()}


def to_torch(array: Array) -> torch.Tensor:
    """A tensor on the host with the array's values, bfloat16 and the float8 types included; the memory is its own.

    Raises:
        ValueError: PyTorch has no such dtype (text, and what is narrower than a byte).
    """
    own = np.array(array, order="C")
    if is_text(own):
        raise ValueError("it holds text, and a PyTorch module takes tensors of numbers")
    if own.dtype.name in _BY_NAME:
        kind = _BY_NAME[own.dtype.name]
        return torch.from_numpy(own.view(f"i{own.dtype.itemsize}" if own.dtype.itemsize > 1 else "u1")).view(kind)
    try:
        return torch.from_numpy(own)
    except TypeError:
        raise ValueError(f"PyTorch has no tensors of {own.dtype.name} made of arrays") from None


def to_numpy(tensor: torch.Tensor) -> Array:
    """The tensor's values on the host; the array is the caller's to keep."""
    host = tensor.detach().cpu()
    host = (host if host.layout == torch.strided else host.to_dense()).resolve_conj().resolve_neg().contiguous()
    if host.dtype in _CARRIED:
        carrier, kind = _CARRIED[host.dtype]
        return host.view(carrier).clone().numpy().view(kind)
    if host.dtype == torch.complex32:  # numpy's narrowest has twice the bits
        host = host.to(torch.complex64)
    array: Array = host.clone().numpy()
    return array


def nest(tensors: Mapping[str, Any], arguments: list[str]) -> dict[str, Any]:
    """Arguments of a forward: those named `past.0.1` under the argument `past`, tuples by number, dictionaries by key.

    A name that is itself an argument stays as it is. The order is that of `arguments`, as a call by position has it.

    Raises:
        ValueError: a name belongs to no argument, or the numbers under one have a gap.
    """
    made: dict[str, Any] = {}
    unknown = [name for name in tensors if name not in arguments and name.partition(".")[0] not in arguments]
    if unknown:
        raise ValueError(f"the module takes {', '.join(arguments)}; the workload has {', '.join(unknown)} beside them")
    for name, value in tensors.items():
        parts = [name] if name in arguments else name.split(".")
        place = made
        for part in parts[:-1]:
            place = place.setdefault(part, _Branch())
            if not isinstance(place, _Branch):
                raise ValueError(f"input {name!r} lies inside another input of that name")  # noqa: TRY004  names clash
        place[parts[-1]] = value
    return {name: _grown(name, made[name]) for name in arguments if name in made}


class _Branch(dict[str, Any]):
    """What lies under one part of a name."""


def _grown(name: str, value: Any) -> Any:
    if not isinstance(value, _Branch):
        return value
    inner = {key: _grown(f"{name}.{key}", part) for key, part in value.items()}
    if not all(key.isdecimal() for key in inner):
        return inner
    numbers = sorted(int(key) for key in inner)
    if numbers != list(range(len(numbers))):
        raise ValueError(f"input {name!r} has the elements {', '.join(map(str, numbers))}: they are numbered from 0 on")
    return tuple(inner[str(number)] for number in numbers)


def flat_names(arguments: Mapping[str, Any]) -> list[str]:
    """The names of what `nest` made, in the order in which PyTorch flattens it."""
    return [_path(keys) for keys, _ in _PYTREE.tree_flatten_with_path(dict(arguments))[0]]


@dataclasses.dataclass(slots=True)
class Leaves:
    """What a module gave: its tensors by where they lie, numbers that are no tensors, and what is neither, in words."""

    tensors: dict[str, torch.Tensor]
    numbers: dict[str, Any]
    left_out: list[str]

    @property
    def everything(self) -> dict[str, Any]:
        return {**self.tensors, **self.numbers}


def leaves_of(result: Any) -> Leaves:
    """Walk over what a module gave, in the order in which PyTorch flattens it.

    Raises:
        ValueError: two of its tensors have one name.
    """
    made = Leaves({}, {}, [])
    for path, leaf in _walked(result, "", set()):
        if isinstance(leaf, torch.Tensor | np.ndarray):
            if path in made.tensors:
                raise ValueError(f"two outputs of the module are named {path!r}: name them by the suite's `outputs`")
            made.tensors[path] = leaf if isinstance(leaf, torch.Tensor) else torch.as_tensor(leaf)
        elif isinstance(leaf, bool | int | float | complex | torch.SymInt | torch.SymFloat | torch.SymBool):
            made.numbers[path] = leaf
        else:
            made.left_out.append(f"{path!r} ({'None' if leaf is None else type(leaf).__name__})")
    return made


def _walked(value: Any, at: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    for keys, leaf in _PYTREE.tree_flatten_with_path(value)[0]:
        path = ".".join(part for part in (at, _path(keys)) if part)
        inside = None if isinstance(leaf, torch.Tensor) or id(leaf) in seen else _parts(leaf)
        if inside is None:
            yield path, leaf
            continue
        for name, part in inside.items():
            yield from _walked(part, f"{path}.{name}" if path else name, seen | {id(leaf)})


def _parts(leaf: Any) -> dict[str, Any] | None:
    """Attributes of an object that holds tensors (a dataclass, a cache of keys and values); None of everything else."""
    if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type):
        return {part.name: getattr(leaf, part.name) for part in dataclasses.fields(leaf)}
    if isinstance(leaf, Mapping):
        return {str(key): part for key, part in leaf.items()}
    own = getattr(leaf, "__dict__", None)
    if not own or isinstance(leaf, type | torch.nn.Module) or callable(leaf):
        return None
    public = {name: part for name, part in own.items() if not name.startswith("_")}
    return {name: part for name, part in public.items() if _holds_tensors(part, 0)} or None


_DEEP = 4
"""Levels of attributes below which an object is not asked for tensors."""


def _holds_tensors(value: Any, depth: int) -> bool:
    found = _PYTREE.tree_leaves(value)
    if any(isinstance(leaf, torch.Tensor) for leaf in found):
        return True
    return depth < _DEEP and any(
        _holds_tensors(list(vars(leaf).values()), depth + 1) for leaf in found if hasattr(leaf, "__dict__")
    )


def _path(keys: Any) -> str:
    """`hidden.0` of PyTorch's path to a leaf."""
    return ".".join(str(next(getattr(key, a) for a in ("key", "idx", "name") if hasattr(key, a))) for key in keys)


def name_outputs(result: Any, names: tuple[str, ...] | None) -> dict[str, Any]:
    """Outputs by the given names, by where they lie in what the module gave, or as `output`, `output_1`, ... in order.

    Tensors of a tuple have numbers; below a dictionary or a dataclass they have paths. Numbers that are no tensors
    become tensors of shape (), behind the others where a tuple is numbered.

    Raises:
        ValueError: more or fewer outputs than names.
    """
    found = leaves_of(result)
    if names is None and not isinstance(result, torch.Tensor | tuple | list):
        return {name: _tensor(value) for name, value in _in_order(result, found).items()}
    if names is None:
        everything = [_tensor(value) for value in found.everything.values()]
        return {f"output_{i}" if i else "output": value for i, value in enumerate(everything)}
    for values in (found.tensors, _in_order(result, found)):
        if len(values) == len(names):
            return dict(zip(names, map(_tensor, values.values()), strict=True))
    raise ValueError(f"the suite names {len(names)} outputs ({', '.join(names)}), the model has {len(found.tensors)}")


def _in_order(result: Any, found: Leaves) -> dict[str, Any]:
    """Tensors and numbers as they lie, a single one that has no path under the name `output`."""
    order = [path for path, _ in _walked(result, "", set())]
    both = found.everything
    return {path or "output": both[path] for path in order if path in both}


def _tensor(value: Any) -> torch.Tensor:
    """A number of Python as a tensor of shape (): floats in PyTorch's default, float32."""
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):  # what an exporter traces in a number's place
        return torch.scalar_tensor(value, dtype=_dtype(value))
    return torch.tensor(value, dtype=_dtype(value))


def _dtype(value: Any) -> torch.dtype:
    kinds = ((bool | torch.SymBool, torch.bool), (int | torch.SymInt, torch.int64), (complex, torch.complex64))
    return next((dtype for kind, dtype in kinds if isinstance(value, kind)), torch.float32)


@contextlib.contextmanager
def flat_outputs(module: Any, names: tuple[str, ...]) -> Iterator[None]:
    """While it lasts, the module gives a tuple of tensors, those of `names` in order, where it gives what has more.

    Without `names` they are all that there are, as `name_outputs` orders them.

    Exporters take tensors in dictionaries and tuples as they are, and nothing else (numbers, dataclasses, caches).
    """
    if isinstance(module, torch.jit.ScriptModule | torch.fx.GraphModule):
        yield
        return

    def flattened(_module: Any, _arguments: Any, result: Any) -> Any:
        if all(leaf is None or isinstance(leaf, torch.Tensor) for leaf in _PYTREE.tree_leaves(result)):
            return result
        own = name_outputs(result, None)
        return tuple((own if not names or tuple(own) == names else name_outputs(result, names)).values())

    handle = module.register_forward_hook(flattened)
    try:
        yield
    finally:
        handle.remove()


class ByPosition(torch.nn.Module):
    """A module called with nothing but tensors in order: for the older exporter, which traces a call by position."""

    def __init__(self, module: Any, inputs: list[str], arguments: list[str]) -> None:
        super().__init__()
        self.inner, self._inputs, self._arguments = module, inputs, arguments

    def forward(self, *tensors: Any) -> Any:
        return self.inner(**nest(dict(zip(self._inputs, tensors, strict=True)), self._arguments))
