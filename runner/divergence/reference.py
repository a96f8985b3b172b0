"""What a reference has to be for a walk: its nodes in order, and their values one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from assay.runner.tensors import Array, Tensors


@dataclass(frozen=True, slots=True)
class RefNode:
    """One value of the reference that depends on the inputs' values."""

    name: str
    op: str
    """E.g. `aten.quantile`, or an ONNX operator."""
    layer: str | None
    reads: tuple[str, ...]
    """Other such values, and inputs."""


class Reference(Protocol):
    nodes: list[RefNode]
    inputs: list[str]
    outputs: list[str]
    """Names of its outputs, in the model's order."""

    def values(self, inputs: Tensors) -> Iterator[tuple[str, Array]]:
        """(name, value) of every tensor, in the order of execution; a value may be reused after the next one."""
