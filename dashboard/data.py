"""Questions, asked of the newest snapshot and cached by its number. The only file that opens the store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from schema import comparison, quality_queries, queries
from schema.errors import StoreError
from schema.queries import Filters
from schema.store import DEFAULT_DATABASE, Store, reading, sequence, snapshot

_ENTRIES = 64


def store() -> Store:
    return Store(Path(os.environ.get("ASSAY_DB", DEFAULT_DATABASE)).absolute())


def current() -> Path | None:
    """The newest snapshot, or None when nothing has been recorded."""
    return snapshot(store())


def problem() -> str | None:
    """Why the newest snapshot cannot be read, or None."""
    path = current()
    return _problem(str(path)) if path else None


@st.cache_data(max_entries=_ENTRIES, show_spinner=False)
def _problem(path: str) -> str | None:
    try:
        with reading(Path(path)):
            return None
    except StoreError as error:
        return str(error)


@st.cache_data(max_entries=_ENTRIES, show_spinner=False)
def _ask(path: str, question: str, arguments: tuple[Any, ...]) -> Any:
    """A snapshot never changes, so its path is the whole key."""
    with reading(Path(path)) as connection:
        module = queries if hasattr(queries, question) else quality_queries
        return getattr(module, question)(connection, *arguments)


def ask(question: str, *arguments: Any) -> Any:
    """The answer of one function of `schema.queries` or `schema.quality_queries`."""
    path = current()
    assert path is not None  # noqa: S101  the entry script stops before any page when nothing is recorded
    return _ask(str(path), question, arguments)


def frame(question: str, *arguments: Any) -> pd.DataFrame:
    """The same, as a frame; empty without columns when there is no row."""
    return pd.DataFrame(ask(question, *arguments))


def choices() -> dict[str, list[str]]:
    found: dict[str, list[str]] = ask("choices")
    return found


def number() -> int:
    path = current()
    return sequence(path) if path else 0


def resolve(name: str) -> str | None:
    """A run's id, or None when nothing has this name."""
    try:
        with reading(current() or Path()) as connection:
            return comparison.resolve(connection, name)
    except StoreError:
        return None


@st.cache_data(max_entries=_ENTRIES, show_spinner=False)
def _compare(path: str, a: str, b: str) -> dict[str, Any]:
    with reading(Path(path)) as connection:
        return comparison.compare_runs(connection, a, b).as_document()


def compare(a: str, b: str) -> dict[str, Any]:
    return _compare(str(current()), a, b)


def overview(chosen: Filters) -> pd.DataFrame:
    return frame("overview", chosen)
