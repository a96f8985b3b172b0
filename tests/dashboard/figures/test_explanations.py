"""Explanations: the first suspect, and the chain in its order."""

from __future__ import annotations

import pandas as pd

from assay.dashboard.figures import explanations as explanation_figures


def test_the_first_suspect_is_marked_by_name():
    entries = pd.DataFrame(
        [
            {
                "position": i,
                "node": f"n{i}",
                "op_type": "Add",
                "layer": None,
                "reference_node": "r",
                "local_rel_l2": v,
                "accumulated_rel_l2": v,
                "expected_rel_l2": 1e-7,
                "suspect": i == 1,
            }
            for i, v in enumerate([0.0, 1e-2, 1e-8])
        ]
    )
    marked = next(trace for trace in explanation_figures.divergence(entries).data if trace.name == "first suspect")
    assert (list(marked.x), list(marked.text)) == ([1], ["n1"])


def test_the_chain_keeps_its_order():
    edges = pd.DataFrame(
        [
            {"position": 1, "edge_from": "b", "edge_to": "c", "output": "y", "rel_l2": 0.1},
            {"position": 0, "edge_from": "a", "edge_to": "b", "output": "y", "rel_l2": 1e-7},
        ]
    )
    assert list(explanation_figures.blame(edges).layout.yaxis.categoryarray) == ["b → c", "a → b"]
