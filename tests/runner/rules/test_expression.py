"""The invariant language: what it says, and what it refuses to be."""

from __future__ import annotations

import contextlib
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.runner.errors import UsageError
from assay.runner.rules.expression import CannotEvaluate, parse

STEP = {
    "length": np.array([2, 2]),
    "out": np.array([[[1.0], [2.0]]], np.float32),
    "hot": np.array([1.0, np.inf]),
    "step": 3,
    "T": 48,
}
BEFORE = {"length": np.array([1, 1])}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("length == 2", True),
        ("length == 0", False),
        ("out.shape[-1] == 1 and out.shape[1] == 2", True),
        ("finite(out)", True),
        ("finite(hot)", False),
        ("0 <= out.min <= out.max <= 2", True),
        ("not length > 2", True),
        ("length >= previous.length", True),
        ("length - previous.length == 1", True),
        ("step < 3 or T % 8 == 0", True),
        ("out[0, 1] == 2", True),
        ("out[:, 0].max == 1", True),
        ("all(length == T // 24)", True),
        ("sum(length) == 4", True),
        ("out.dtype == 'float32'", True),
        ("out.shape == (1, 2, 1)", True),
        ("-length < 0", True),
    ],
)
def test_an_invariant_holds_when_every_element_does(text: str, holds: bool):
    assert parse(text).check(STEP, BEFORE)[0] is holds


def test_a_broken_invariant_says_what_was_seen():
    assert (
        parse("length == out.shape[1] + 1").check(STEP)[1]
        == "length = [2, 2], out = [[[1.0], [2.0]]], out.shape = (1, 2, 1), out.shape[1] = 2"
    )


def test_the_names_that_it_reads_are_known_before_it_runs():
    assert parse("finite(out) and previous.length < T and step > 0").names == {"out", "length", "T"}


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__",
        "out.__class__",
        "open('x')",
        "lambda: 1",
        "[x for x in out]",
        "x := 1",
        "f'{out}'",
        "out ** 9",
        "out << 60",
        "a if b else c",
        "length is 2",
        "2 in length",
        "out.tobytes()",
        "finite(out, out)",
        "1 ==",
        "",
        "import os",
        "out; out",
        "*out",
        "{1: 2}",
        "b'x'",
        "1j == 1",
        "99999999999999999999999 > 1",
        "not " * 100 + "out",
        "x" * 501,
    ],
)
def test_what_is_not_in_the_language_is_refused_before_anything_runs(text: str):
    with pytest.raises(UsageError, match="invariant"):
        parse(text)


def test_a_misspelt_function_or_attribute_names_the_nearest():
    with pytest.raises(UsageError, match="finite"):
        parse("finit(out)")
    with pytest.raises(UsageError, match="shape"):
        parse("out.shap[0] == 1")


@pytest.mark.parametrize(
    "text",
    ["missing == 1", "out.shape[9] == 1", "'a' * 99999999 == 'b'", "out.shape * 99999999 == 1", "length == out[5]"],
)
def test_a_step_without_an_answer_says_so_and_raises_nothing_else(text: str):
    with pytest.raises(CannotEvaluate):
        parse(text).check(STEP)


def test_the_first_step_has_nothing_before_it():
    with pytest.raises(CannotEvaluate, match="no step before"):
        parse("length >= previous.length").check(STEP, None)


@given(st.text(alphabet="abcxyz_.()[]{}+-*/%<>=!&|^~, '\"0123456789", max_size=60))
def test_any_text_is_parsed_or_refused_at_once_and_never_runs_python(text: str):
    started = time.monotonic()
    with contextlib.suppress(UsageError, CannotEvaluate):
        parse(text).check(STEP, BEFORE)
    assert time.monotonic() - started < 2
