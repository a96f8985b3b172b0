"""Questions, asked of the newest snapshot and cached by its number. The only file that opens the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, Concatenate, ParamSpec, TypeVar

import duckdb
import pandas as pd
import streamlit as st

from assay.schema import triage
from assay.schema.errors import StoreError
from assay.schema.queries import alerts as alert_queries
from assay.schema.queries import comparison
from assay.schema.queries import history as history_queries
from assay.schema.queries import runs as run_queries
from assay.schema.queries.base import Answer, Filters
from assay.schema.store.database import DEFAULT_DATABASE, Store, reading, sequence, snapshot
from assay.schema.store.migrate import pending

_ENTRIES = 64
P = ParamSpec("P")
T = TypeVar("T")


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
        with reading(Path(path)) as connection:
            if pending(connection):
                return (
                    "The books were written by an older Assay. Bring them to this version, then reload: `assay db"
                    " migrate`"
                )
            return None
    except StoreError as error:
        return str(error)


@st.cache_data(
    max_entries=_ENTRIES,
    show_spinner=False,
    hash_funcs={FunctionType: lambda function: f"{function.__module__}.{function.__qualname__}"},
)
def _ask(path: str, question: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """A snapshot never changes, so its path and the question are the whole key."""
    with reading(Path(path)) as connection:
        return question(connection, *arguments)


def ask(question: Callable[Concatenate[duckdb.DuckDBPyConnection, P], T], *arguments: P.args, **named: P.kwargs) -> T:
    """The answer of one function of `assay.schema.queries`; its arguments go by position."""
    path = current()
    assert path is not None  # noqa: S101  the entry script stops before any page when nothing is recorded
    assert not named  # noqa: S101  the key of the cache has positions alone
    answer: T = _ask(str(path), question, arguments)
    return answer


def frame(
    question: Callable[Concatenate[duckdb.DuckDBPyConnection, P], Answer], *arguments: P.args, **named: P.kwargs
) -> pd.DataFrame:
    """The same, as a frame; empty without columns when there is no row."""
    return pd.DataFrame(ask(question, *arguments, **named))


def choices() -> dict[str, list[str]]:
    found: dict[str, list[str]] = ask(run_queries.choices)
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
    return frame(history_queries.overview, chosen)


def act(alert: str, step: str, who: str, reason: str, **more: Any) -> str | None:
    """Record one step in the life of an alert and publish it; why it could not be done, or None.

    The only thing that a page writes.
    """
    try:
        triage.act(store(), alert, step, actor=who, reason=reason, wait_s=10.0, **more)
    except StoreError as error:
        return str(error)
    return None


def differs(a: str, b: str) -> dict[str, tuple[Any, Any]]:
    """What differs between the hosts and libraries of two runs."""
    with reading(current() or Path()) as connection:
        return comparison.differing_environment(connection, a, b)


def changes_drawn(chosen: Filters, metric: str, points: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The changes and the cuts that belong on a trend of these points."""
    moved = frame(alert_queries.changes, chosen, None)
    moved = moved[moved["series_id"].isin(points["series_id"])] if len(moved) else moved
    cut = frame(alert_queries.cuts, chosen, metric)
    return moved, cut[cut["started_at"] >= points["started_at"].min()] if len(cut) else cut
