"""What a reference has to be for a walk: its nodes in order, and their values one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from assay.runner.tensors import Array, Tensors

_VIEWS = {
    "select", "slice", "view", "reshape", "_unsafe_view", "transpose", "permute", "squeeze", "unsqueeze", "expand", "clone",
    "alias", "contiguous", "getitem", "t", "flatten", "unflatten", "detach",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RefNode:
    """One value of the reference that depends on the inputs' values."""

    name: str
    op: str
    """E.g. `aten.quantile`, or an ONNX operator."""
    layer: str | None
    reads: tuple[str, ...]
    """Other such values, and inputs."""


def origin(node: RefNode, known: Mapping[str, RefNode]) -> RefNode:
    """The node whose values this one only shows: a select or a reshape computes nothing."""
    while node.op.removeprefix("aten.") in _VIEWS and node.reads and node.reads[0] in known:
        node = known[node.reads[0]]
    return node


class Reference(Protocol):
    nodes: list[RefNode]
    inputs: list[str]
    outputs: list[str]
    """Names of its outputs, in the model's order."""

    def values(self, inputs: Tensors) -> Iterator[tuple[str, Array]]:
        """(name, value) of every tensor, in the order of execution; a value may be reused after the next one."""
