"""How many nodes of a graph compute on fewer bits than those of the graph that it was made from.

Quantizers fold constants and fuse nodes first, so that a file may look quite different in which nothing was quantized.
What they are asked for leaves a mark that nothing else does: a node that reads halves or codes, as they are or through
what decodes them.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from assay.runner.graphs import inlined
from assay.runner.graphs.element_types import TypedNode, typed_nodes
from assay.runner.graphs.precision import HALVES

_CODES = ("int2", "uint2", "int4", "uint4", "int8", "uint8", "int16", "uint16")
_GLUE = {"Cast", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
"""What puts values into codes and back: it is there for the nodes that read them."""

Marks = Counter[frozenset[str]]


def nodes_of(path: Path) -> list[TypedNode]:
    """Every node of a file, bodies of control flow and of local functions included."""
    return typed_nodes(inlined.load(path, weights=False))


def changed(made: list[TypedNode], base: list[TypedNode]) -> int:
    """Nodes that read narrower types than any of the base's did: 0 where a recipe changed nothing."""
    return (_marks(made) - _marks(base)).total()


def _marks(nodes: list[TypedNode]) -> Marks:
    """How many nodes read which narrow types."""
    found, known = Marks(), dict[str, frozenset[str]]()
    for node in nodes:
        narrow = frozenset(kind for kind in node.reads if kind and _is_narrow(kind))
        narrow = narrow.union(*(known.get(name, frozenset()) for name in node.proto.input))
        if node.proto.op_type in _GLUE or node.constant:
            passes_on = node.constant or node.proto.op_type in ("Cast", "DequantizeLinear")
            for name, kind in zip(node.proto.output, node.writes, strict=True):
                own = frozenset([kind] if kind and _is_narrow(kind) else [])
                known[name] = own | narrow if passes_on else own
        elif narrow:
            found[narrow] += 1
    return found


def _is_narrow(kind: str) -> bool:
    return kind in HALVES or kind in _CODES or kind.startswith(("float8", "float4"))
