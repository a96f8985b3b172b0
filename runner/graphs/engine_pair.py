"""Two engines of one model side by side.

Which layers stand for each other, what was fused, at which precision, and where the time goes. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.runner.graphs.engine_layers import Engine, EngineLayer, read
from assay.schema.reading import MEASURED, json_document, reading

_NOTABLE = 0.02
"""Of an engine's time: less is not worth a line."""
_NARROW = ("float16", "bfloat16", "int8", "float8", "int4", "float4")


@dataclass(frozen=True, slots=True)
class Match:
    """Layers of both engines that compute the same ONNX nodes."""

    nodes: tuple[str, ...]
    a: tuple[EngineLayer, ...]
    b: tuple[EngineLayer, ...]
    a_ms: float | None
    b_ms: float | None

    @property
    def fused(self) -> str:
        """How many layers it takes on each side, where that differs."""
        return "" if len(self.a) == len(self.b) else f"{len(self.a)} -> {len(self.b)} layers"


def times(text: str) -> dict[str, float]:
    """Mean milliseconds of each layer, from `trtexec --exportProfile`.

    Raises:
        UsageError: it is not such a file.
    """
    document = json_document(text, "the profile of trtexec", MEASURED)
    with reading("the profile", "a profile of trtexec"):
        return {str(entry["name"]): float(entry["averageMs"]) for entry in document if "averageMs" in entry}


def matches(a: Engine, b: Engine, a_ms: Mapping[str, float], b_ms: Mapping[str, float]) -> list[Match]:
    """Groups of layers that share an ONNX node, directly or through others, in the order of A.

    What only B has comes last.

    Layers that only reformat are in no group: they stand for no node. Times are summed; None where a layer of the group
    was not timed.
    """
    group: dict[str, str] = {}

    def root(node: str) -> str:
        while group.setdefault(node, node) != node:
            node = group[node]
        return node

    sides = [[layer for layer in engine.layers if not layer.reformats] for engine in (a, b)]
    for layer in (*sides[0], *sides[1]):
        for node in layer.nodes:
            group[root(node)] = root(layer.nodes[0])
    made: dict[str, tuple[list[EngineLayer], list[EngineLayer]]] = {}
    for side, layers in enumerate(sides):
        for layer in layers:
            made.setdefault(root(layer.nodes[0]), ([], []))[side].append(layer)
    return [
        Match(
            tuple(dict.fromkeys(node for layer in (*left, *right) for node in layer.nodes)),
            tuple(left),
            tuple(right),
            _sum(left, a_ms),
            _sum(right, b_ms),
        )
        for left, right in made.values()
    ]


@dataclass(frozen=True, slots=True)
class Profiled:
    """An engine with the milliseconds that a call spends in each of its layers."""

    engine: Engine
    ms: dict[str, float]

    @staticmethod
    def of(text: str, layers: Sequence[Mapping[str, Any]]) -> Profiled:
        """From what the inspector wrote, and profiled layers (`assay.schema.rows.Layer`)."""
        return Profiled(read(text), {layer["name"]: layer["median_us"] / 1e3 for layer in layers})


def beside(layers: Sequence[Mapping[str, Any]], own: Profiled, other: Profiled) -> list[dict[str, Any]]:
    """Profiled layers with what computes the same ONNX nodes in the other engine, and its microseconds.

    Layers that compute nodes together have the same counterpart, all of them; None where nothing computes them.
    """
    names: dict[str, tuple[str, float | None]] = {}
    for match in matches(other.engine, own.engine, other.ms, own.ms):
        if match.a:
            theirs = " and ".join(layer.name for layer in match.a)
            names.update({layer.name: (theirs, None if match.a_ms is None else match.a_ms * 1e3) for layer in match.b})
    return [
        {
            **layer,
            "reference_name": names.get(layer["name"], (None,))[0],
            "reference_us": names.get(layer["name"], (None, None))[1],
        }
        for layer in layers
    ]


def _sum(layers: Sequence[EngineLayer], ms: Mapping[str, float]) -> float | None:
    known = [ms.get(layer.name) for layer in layers]
    return sum(t for t in known if t is not None) if layers and None not in known else None


@dataclass(frozen=True, slots=True)
class PrecisionAudit:
    """At which precision an engine really multiplies, against what was asked for."""

    asked: str
    by_precision: dict[str, float]
    """Type -> share of the layers that multiply: of their time where it is known, else of their number."""
    timed: bool
    wrong: tuple[str, ...]
    """Layers that multiply in a wider type than was asked for."""

    @property
    def outcome(self) -> str:
        """`pass`, `fail` or `vacuous`: whether the products are in the precision that was asked for.

        It is a pass when most of them are, a failure when none is or less than half, vacuous where nothing is known of
        them.
        """
        if not self.by_precision:
            return "vacuous"
        return "pass" if self.by_precision.get(self.asked, 0.0) >= 0.5 else "fail"


def audit(engine: Engine, asked: str, ms: Mapping[str, float]) -> PrecisionAudit:
    """`asked` is the type that the products were meant to be in, e.g. float16."""
    known = [layer for layer in engine.layers if layer.multiplies and layer.precision]
    timed = bool(known) and all(layer.name in ms for layer in known)
    weights = [ms[layer.name] if timed else 1.0 for layer in known]
    total = sum(weights)
    shares: dict[str, float] = {}
    for layer, weight in zip(known, weights, strict=True):
        shares[str(layer.precision)] = shares.get(str(layer.precision), 0.0) + weight / total if total else 0.0
    wrong = tuple(layer.name for layer in known if layer.precision != asked and layer.precision not in _NARROW)
    return PrecisionAudit(asked, shares, timed, wrong if asked in _NARROW else ())


def why_not_faster(engine: Engine, ms: Mapping[str, float]) -> list[str]:
    """What keeps a low-precision engine from being faster, the largest first.

    Products that stayed wide, reformats, Q and DQ that fused into nothing.

    Shares are of the time of all layers, or of their number where there is no profile.
    """
    timed = all(layer.name in ms for layer in engine.layers)
    total = sum(ms[layer.name] if timed else 1.0 for layer in engine.layers)
    if not total:
        return []
    of = "of the time" if timed else "of the layers"
    kinds = (
        ([x for x in engine.layers if x.multiplies and x.precision == "float32"], "products in float32"),
        ([x for x in engine.layers if x.reformats], "copies into another layout or type"),
        ([x for x in engine.layers if x.quantizes], "Q and DQ that were fused into nothing"),
    )
    found = []
    for layers, what in kinds:
        share = sum(ms[layer.name] if timed else 1.0 for layer in layers) / total
        if layers and share >= _NOTABLE:
            names = ", ".join(layer.name for layer in layers[:3]) + (" and more" if len(layers) > 3 else "")
            found.append((share, f"{share:.0%} {of} in {what}: {len(layers)} ({names})"))
    return [words for _, words in sorted(found, reverse=True)]
