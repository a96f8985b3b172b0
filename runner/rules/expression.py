"""Invariants: a small language of comparisons over the arrays of one step.

Parsed into a tree that is walked here: Python never evaluates it, and it can call nothing but the functions below.

    cache_last_channel_len_out == 0
    encoder_output.shape[-1] == 1 and finite(encoder_output)
    state_out >= previous.state_out or step < 3

A name is an array of the step (an output, or else an input), a symbol of the contract, or `step`; `previous.NAME` is
the step before. Comparisons are element by element, and an invariant holds when every element does.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.runner.errors import UsageError, nearest
from assay.runner.tensors import Array, dtype_name

_MAX_LENGTH = 500
_MAX_DEPTH = 30
_ATTRIBUTES: dict[str, Callable[[Any], Any]] = {
    "shape": lambda a: a.shape, "ndim": lambda a: a.ndim, "size": lambda a: a.size, "dtype": dtype_name,
    "min": lambda a: a.min(), "max": lambda a: a.max(), "mean": lambda a: a.mean(dtype=np.float64), "std": lambda a: a.std(dtype=np.float64),
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "all": np.all, "any": np.any, "abs": np.abs, "sum": np.sum, "min": np.min, "max": np.max, "len": len,
    "finite": lambda a: np.isfinite(np.asarray(a, np.float64)).all(),
}  # fmt: skip
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip


class CannotEvaluate(Exception):
    """The expression is well formed, and this step has no answer for it."""


@dataclass(frozen=True, slots=True)
class InvariantExpression:
    """A parsed expression."""

    text: str
    tree: ast.expr
    names: frozenset[str]
    """Arrays and symbols that it reads."""

    def check(self, values: Mapping[str, Any], previous: Mapping[str, Any] | None = None) -> tuple[bool, str]:
        """Whether it holds, and what was seen, in words.

        Raises:
            CannotEvaluate: a name is unknown, shapes do not fit, or `previous` is read at the first step.
        """
        walk = _Walk(values, previous)
        try:
            with np.errstate(all="ignore"):
                holds = bool(np.all(walk.value(self.tree)))
        except CannotEvaluate:
            raise
        except Exception as error:  # noqa: BLE001  numpy raises many kinds for shapes that do not fit
            raise CannotEvaluate(f"{self.text!r}: {error}") from None
        return holds, walk.seen()


def parse(text: str) -> InvariantExpression:
    """Parse an invariant.

    Raises:
        UsageError: it is no expression, too long or too deep, or uses something that the language does not have.
    """
    if len(text) > _MAX_LENGTH:
        raise UsageError(f"an invariant has at most {_MAX_LENGTH} characters, this one {len(text)}.")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise UsageError(f"invariant {text!r} is no expression: {error}") from None
    _allow(tree, text, 0)
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - called
    through = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "previous"
    }
    return InvariantExpression(text.strip(), tree, frozenset((names - {"previous", "step"}) | through))


def _allow(node: ast.AST, text: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise UsageError(f"invariant {text!r} is nested too deeply.")
    check = _GRAMMAR.get(type(node))
    problem = type(node).__name__ if check is None else check(node)
    if problem:
        raise UsageError(f"invariant {text!r}: {problem} is not part of the language.")
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr) and not (isinstance(node, ast.Call) and child is node.func):
            _allow(child, text, depth + 1)


def _constant(node: Any) -> str | None:
    if not isinstance(node.value, bool | int | float | str):
        return f"the constant {node.value!r}"
    return "a number beyond 64 bits" if isinstance(node.value, int) and abs(node.value) > 1 << 63 else None


def _call(node: Any) -> str | None:
    if not isinstance(node.func, ast.Name) or len(node.args) != 1 or node.keywords:
        return "a call of anything but its functions with one argument"
    return (
        None
        if node.func.id in _FUNCTIONS
        else f"function {node.func.id!r} ({nearest(node.func.id, _FUNCTIONS).strip()})"
    )


def _attribute(node: Any) -> str | None:
    previous = isinstance(node.value, ast.Name) and node.value.id == "previous"
    return None if previous or node.attr in _ATTRIBUTES else f".{node.attr} ({nearest(node.attr, _ATTRIBUTES).strip()})"


def _fine(_: Any) -> None:
    return None


_GRAMMAR: dict[type, Callable[[Any], str | None]] = {
    ast.Constant: _constant, ast.Call: _call, ast.Attribute: _attribute,
    ast.UnaryOp: lambda node: None if isinstance(node.op, ast.Not | ast.USub) else "a sign other than - and not",
    ast.Compare: lambda node: None if all(type(op) in _COMPARE for op in node.ops) else "a comparison other than == != < <= > >=",
    ast.BinOp: lambda node: None if type(node.op) in _ARITHMETIC else "an operator other than + - * / // %",
    ast.BoolOp: _fine, ast.Name: _fine, ast.Subscript: _fine, ast.Slice: _fine, ast.Tuple: _fine, ast.List: _fine,
}  # fmt: skip


class _Walk:
    def __init__(self, values: Mapping[str, Any], previous: Mapping[str, Any] | None) -> None:
        self._values = values
        self._previous = previous
        self._seen: dict[str, str] = {}

    def seen(self) -> str:
        return ", ".join(f"{name} = {value}" for name, value in self._seen.items())

    def value(self, node: Any) -> Any:
        """Of one node of the tree, by the method that is named after its kind."""
        return getattr(self, f"_{type(node).__name__.lower()}")(node)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        return self._note(node.id, self._lookup(self._values, node.id))

    def _attribute(self, node: ast.Attribute) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id == "previous":
            if self._previous is None:
                raise CannotEvaluate("the first step has no step before it")
            return self._note(f"previous.{node.attr}", self._lookup(self._previous, node.attr))
        return self._note(ast.unparse(node), _ATTRIBUTES[node.attr](np.asarray(self.value(node.value))))

    def _subscript(self, node: ast.Subscript) -> Any:
        return self._note(ast.unparse(node), self.value(node.value)[self._index(node.slice)])

    def _call(self, node: Any) -> Any:
        return _FUNCTIONS[node.func.id](self.value(node.args[0]))

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        return np.logical_not(np.all(value)) if isinstance(node.op, ast.Not) else -np.asarray(value)

    def _boolop(self, node: ast.BoolOp) -> bool:
        test = all if isinstance(node.op, ast.And) else any
        return test(bool(np.all(self.value(value))) for value in node.values)

    def _tuple(self, node: ast.Tuple | ast.List) -> Any:
        return tuple(self.value(element) for element in node.elts)

    _list = _tuple

    def _binop(self, node: ast.BinOp) -> Any:
        return _ARITHMETIC[type(node.op)](_plain(self.value(node.left)), _plain(self.value(node.right)))

    def _compare(self, node: ast.Compare) -> Any:
        holds: Any = True
        at = self.value(node.left)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            holds = np.logical_and(holds, _COMPARE[type(op)](at, right))
            at = right
        return holds

    def _index(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Slice):
            parts = [None if part is None else int(self.value(part)) for part in (node.lower, node.upper, node.step)]
            return slice(*parts)
        if isinstance(node, ast.Tuple):
            return tuple(self._index(element) for element in node.elts)
        return int(self.value(node))

    def _lookup(self, values: Mapping[str, Any], name: str) -> Any:
        if name not in values:
            raise CannotEvaluate(f"there is no {name!r} at this step.{nearest(name, values)}")
        value = values[name]
        return np.asarray(value) if hasattr(value, "tally_against") else value  # it lies on a device

    def _note(self, name: str, value: Any) -> Any:
        if np.ndim(value) == 0 or isinstance(value, tuple) or np.size(value) <= 8:
            self._seen[name] = str(np.asarray(value).tolist() if isinstance(value, np.ndarray) else value)
        return value


def _plain(value: Any) -> Any:
    """Python integers as 64-bit ones, so that nothing grows without end; texts and shapes have no arithmetic."""
    if isinstance(value, str | tuple):
        raise CannotEvaluate(f"{str(value)[:40]!r} is not a number")
    return np.int64(value) if isinstance(value, int) and not isinstance(value, bool) else value


def values_of(
    outputs: Mapping[str, Array], inputs: Mapping[str, Array], step: int, symbols: Mapping[str, int]
) -> dict[str, Any]:
    """What an invariant sees of one step; an output hides an input of its name."""
    return {**symbols, **inputs, **outputs, "step": step}
