"""What several recipes ask of their variant before they touch a model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.runner.errors import UsageError, nearest

if TYPE_CHECKING:
    from assay.runner.recipes.build import Ingredients


def known_nodes(graph: Any, *chosen: Iterable[str] | None) -> None:
    """Raises UsageError: a name is of no node of the graph."""
    known = [node.name for node in graph.node]
    for name in (name for names in chosen for name in names or ()):
        if name not in known:
            raise UsageError(f"the model has no node {name!r}.{nearest(name, known)}")


def float_file(recipe: str, ingredients: Ingredients) -> Path:
    """The FP32 ONNX file that the variant starts from.

    Raises:
        UsageError: there is none.
    """
    if ingredients.base is None:
        raise UsageError(f"recipe {recipe!r} needs an FP32 ONNX model to start from.")
    return ingredients.base
