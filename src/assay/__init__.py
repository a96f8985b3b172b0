"""Assay keeps the books on optimized models: parity, speed, size, task quality, and which version broke it.

The public Python API; each name is described where it is defined, in `assay.api`:

>>> import assay
>>> assay.run_suite("quickstart", only="scaling").passed
True
>>> with assay.open_books() as books:
...     books.compare("latest~1", "latest")
...     books.frame("select * from verdict")

`import assay` loads nothing heavy: what a name needs is loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.api import Books, RunResult, diff, open_books, run_suite
    from assay.runner.errors import AssayError, EnvironmentMissing, ExitCode, NothingMeasured, UsageError
    from assay.schema.errors import StoreError

__version__: str
"""Of the installed package; the one place that says it is `pyproject.toml`."""

__all__ = [
    "AssayError",
    "Books",
    "EnvironmentMissing",
    "ExitCode",
    "NothingMeasured",
    "RunResult",
    "StoreError",
    "UsageError",
    "__version__",
    "diff",
    "open_books",
    "run_suite",
]

_HOMES = {
    **dict.fromkeys(("Books", "RunResult", "diff", "open_books", "run_suite"), "assay.api"),
    **dict.fromkeys(
        ("AssayError", "EnvironmentMissing", "ExitCode", "NothingMeasured", "UsageError"), "assay.runner.errors"
    ),
    "StoreError": "assay.schema.errors",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("assay.runner.environment").tool_version()
    if name not in _HOMES:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
