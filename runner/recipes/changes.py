"""What a recipe did to the graph that it started from: nodes it changed, bytes it saved, or nothing at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.runner.errors import nearest
from assay.runner.graphs import marks
from assay.runner.graphs.element_types import TypedNode
from assay.runner.recipes import RECIPES, known_options

_CHOOSE_OPERATORS = ("op_types", "op_types_to_quantize")
"""Options that say which operators are changed; others say which are not."""
_LEAVE_OPERATORS = ("op_block", "op_types_to_exclude")
_SHOWN = 6

Finding = dict[str, str]


@dataclass(frozen=True, slots=True)
class Changes:
    """Of a file that a recipe made."""

    nodes: int
    """Bodies of control flow included."""
    changed: int | None
    """None of a recipe that changes none by its nature, or that starts from no file."""
    findings: list[Finding] = field(default_factory=list)


def of(recipe: str, options: Mapping[str, Any], base: Path | None, made: Path) -> Changes:
    """Count what the recipe changed, and say so where it is nothing, or made the file larger."""
    nodes = marks.nodes_of(made)
    if base is None or not RECIPES[recipe].alters:
        return Changes(len(nodes), None)
    before = marks.nodes_of(base)
    count = marks.changed(nodes, before)
    findings = [] if count else [nothing_changed(recipe, _why(recipe, options, before), f"{len(before)} nodes")]
    findings += [*_misspelt(options, before), *not_smaller(recipe, _size(made), _size(base))]
    return Changes(len(nodes), count, findings)


def nothing_changed(recipe: str, why: str, of_what: str) -> Finding:
    """A variant that is what it was made from, under another name."""
    message = f"recipe {recipe!r} changed none of {of_what}{why}: agreeing with the original proves nothing"
    return {"kind": "nothing_changed", "subject": recipe, "severity": "vacuous", "message": message}


def not_smaller(recipe: str, size: int, base: int) -> list[Finding]:
    """A recipe that narrows weights, and a result of more bytes than what it was made from."""
    if size <= base:
        return []
    message = f"{size} bytes, made by {recipe!r} from {base}: {size / base - 1:.0%} larger, not smaller"
    return [{"kind": "not_smaller", "subject": recipe, "severity": "warning", "message": message}]


def _size(path: Path) -> int:
    """On disk, external data included."""
    return sum(file.stat().st_size for file in path.parent.iterdir() if file.name != "artifact.json")


def _why(recipe: str, options: Mapping[str, Any], nodes: list[TypedNode]) -> str:
    """What is known of the reason: names that no operator has, or the operators that there are."""
    there = Counter(node.proto.op_type for node in nodes)
    for name in _CHOOSE_OPERATORS:
        asked = known_options(recipe, options).get(name) if name in RECIPES[recipe].options else None
        if asked and not there.keys() & set(asked):
            near = " ".join(nearest(word, there).strip() for word in asked)
            return f" ({name} = {list(asked)}: the graph has no such operator. {near})".replace(". )", ")")
    most = ", ".join(f"{count} {kind}" for kind, count in there.most_common(_SHOWN))
    return f" (of {most}{' ...' if len(there) > _SHOWN else ''})"


def _misspelt(options: Mapping[str, Any], nodes: list[TypedNode]) -> list[Finding]:
    """Operator names among the options that the graph has only in another spelling."""
    there = {node.proto.op_type for node in nodes}
    spelt = {name.lower(): name for name in there}
    return [
        {
            "kind": "no_such_operator",
            "subject": word,
            "severity": "warning",
            "message": f"option {name} names {word!r}, which no node is; the graph has {spelt[word.lower()]!r}",
        }
        for name in (*_CHOOSE_OPERATORS, *_LEAVE_OPERATORS)
        for word in options.get(name) or ()
        if word not in there and word.lower() in spelt
    ]
