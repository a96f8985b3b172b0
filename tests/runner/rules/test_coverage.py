"""Words of a suite's `coverage`."""

from __future__ import annotations

from typing import Any

import pytest

from assay.runner.errors import UsageError
from assay.runner.rules.coverage import COVERAGE, coverage_words, kinds_of


def test_a_word_stands_for_kinds_of_notes():
    assert kinds_of(["states", "axes"]) == {"state_never_filled", "axis_tried_once"}
    assert kinds_of([]) == frozenset()


def test_a_word_that_there_is_not_names_the_nearest():
    with pytest.raises(UsageError, match="there is no coverage 'axis'. Did you mean 'axes'"):
        kinds_of(["axis"])


@pytest.mark.parametrize(("asked", "words"), [(True, tuple(COVERAGE)), (False, ()), (["inputs"], ("inputs",))])
def test_true_is_every_word(asked: Any, words: tuple[str, ...]):
    assert coverage_words(asked) == words


@pytest.mark.parametrize("asked", ["inputs", 3, ["nothing"]])
def test_anything_else_is_refused(asked: Any):
    with pytest.raises(ValueError, match="coverage"):
        coverage_words(asked)
