"""Why a case fails, in words: the first suspect, the nodes with the largest errors of their own, the chain."""

from __future__ import annotations

from typing import Any

from assay.runner.reports.console import COLOURS, console, number
from assay.runner.reports.tables import print_table

_SHOWN_NODES = 12


def _largest(entries: list[dict[str, Any]]) -> str:
    worst = max(entries, key=lambda entry: entry["local_rel_l2"] or 0.0, default=None)
    if worst is None or not worst["local_rel_l2"]:
        return ""
    return (
        f"; the largest error of one node is {number(worst['local_rel_l2'])}, at {worst['op_type']} {worst['node']!r}"
    )


def print_explanation(answer: Any, *, wide: bool = False) -> None:
    """The first suspect in words, the nodes with the largest errors of their own, and the chain."""
    target = console()
    walk = answer.walk
    if walk:
        target.print(
            f"{answer.case['name']}, step {answer.step}: {walk['aligned']} tensors of {walk['nodes']} nodes aligned by"
            f" {walk['by']}, in {walk['segments']} segments",
            soft_wrap=True,
        )
    if answer.note:
        target.print(answer.note, soft_wrap=True)
    if suspect := answer.suspect:
        layer = f", layer {suspect['layer']}" if suspect["layer"] else ""
        target.print(
            f"first divergence: {suspect['op_type']} {suspect['node']!r}{layer}; in the reference:"
            f" {suspect['reference_node']}",
            style=COLOURS["fail"],
            soft_wrap=True,
        )
        target.print(
            f"  by itself: max |error| {number(suspect['local_max_abs'])}, relative L2"
            f" {number(suspect['local_rel_l2'])}; rounding explains {number(suspect['expected_rel_l2'])}",
            soft_wrap=True,
        )
        if suspect["hint"]:
            target.print(f"  hint: {suspect['hint']}", soft_wrap=True)
        target.print(f"  reproduce it alone: python {answer.reproduction}/reproduce.py", soft_wrap=True)
    elif walk:
        target.print(
            "no node is wrong by itself: none has an error beyond rounding (or its codes) that comes through and can be"
            " shown alone" + _largest(answer.entries),
            soft_wrap=True,
        )
    worst = sorted(answer.entries, key=lambda entry: entry["local_rel_l2"] or 0.0, reverse=True)[:_SHOWN_NODES]
    shown = sorted(worst, key=lambda entry: entry["position"])
    if shown:
        print_table(
            shown,
            [
                "position",
                "node",
                "op_type",
                "layer",
                "reference_node",
                "local_rel_l2",
                "accumulated_rel_l2",
                "expected_rel_l2",
                "suspect",
            ],
            "largest errors of their own",
            wide=wide,
        )
    if answer.blame:
        moved = [edge for edge in answer.blame if edge["share"] is not None]
        print_table(
            moved or answer.blame,
            ["edge_from", "edge_to", "output", "max_abs", "rel_l2", "share"],
            "the chain: what each link adds",
            wide=wide,
        )
        for problem in dict.fromkeys(edge["problem"] for edge in answer.blame if edge["problem"]):
            target.print(problem, style="dim", soft_wrap=True)
