"""Assay keeps the books on optimized models: parity, speed, size, task quality, and which version broke it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("assay")
    """Of the installed package; the one place that says it is `pyproject.toml`."""
except (
    PackageNotFoundError
):  # a worker in another interpreter loads this package by its place: see `runner.worker.boot`
    __version__ = "unknown"
