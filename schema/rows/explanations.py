"""Where an error begins: each node's own error, and what each link of the chain adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """One node of a graph in an explanation: its own error, and what had piled up before it."""

    table: ClassVar[str] = "divergence"
    case_id: str
    run_id: str
    explanation_id: str
    position: int
    """In the order of execution."""
    node: str
    op_type: str
    layer: str | None
    """The module it came from, where the graph says."""
    reference_node: str | None
    output: str
    shape: list[int]
    elements: int
    accumulated_max_abs: float | None
    """Against the reference, fed what came before; None where shapes differ or nothing is finite."""
    accumulated_rel_l2: float | None
    local_max_abs: float | None
    """The same, fed the reference's own inputs."""
    local_rel_l2: float | None
    local_typical_rel: float | None
    """Median relative error of the elements that differ."""
    expected_rel_l2: float | None
    """What rounding alone may do to this operator."""
    suspect: bool
    hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """One edge of the chain from exact arithmetic to what is shipped, and the error that it adds."""

    table: ClassVar[str] = "blame"
    case_id: str
    run_id: str
    explanation_id: str
    position: int
    edge_from: str
    edge_to: str
    output: str
    max_abs: float | None
    rel_l2: float | None
    share: float | None
    """Of the sum of squared errors of all edges."""
    problem: str | None
    """Why this link could not be made."""
