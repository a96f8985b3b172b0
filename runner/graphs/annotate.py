"""A quantized ONNX file with its ledger written into its nodes, for viewers that show what a node carries (Netron)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from assay.runner.graphs.preparation import PROTOBUF_LIMIT, save
from assay.runner.graphs.quantized_graph import SUFFIXES

_SHOWN = {
    "sqnr_db": "alone",
    "accumulated_sqnr_db": "accumulated",
    "executed_sqnr_db": "executed",
}


def annotate(model: Path, entries: Sequence[Mapping[str, Any]], target: Path) -> int:
    """Write a copy of a file whose nodes say, as metadata, what each of their tensors loses; gives how many do.

    `entries` are rows of `ledger`. Weights beyond 1.8 GB go beside the file.
    """
    graph = onnx.load(model)
    by_node: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        by_node.setdefault(entry["node"], []).append(entry)
    written = 0
    for node in graph.graph.node:
        rows = next((by_node[name] for name in _names(node.name) if name in by_node), [])
        for row in rows:
            node.metadata_props.add(key=f"assay: {row['kind']} {row['name']}", value=_words(row))
        written += bool(rows)
    save(graph, target, large=graph.ByteSize() > PROTOBUF_LIMIT)
    return written


def _names(name: str) -> list[str]:
    return [name, *(name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix))]


def _words(row: Mapping[str, Any]) -> str:
    parts = [f"{words} {row[field]:.1f} dB" for field, words in _SHOWN.items() if row[field] is not None]
    if row["clipped"]:
        parts.append(f"{row['clipped']:.2%} clipped")
    if row["bits_per_weight"] is not None:
        parts.append(f"{row['bits_per_weight']:.3g} bits")
    return ", ".join([str(row["scheme"]), *parts])
