"""Words of figures and tables: sizes, elements, and names that are never markup."""

from __future__ import annotations

from typing import Any

import pytest

from assay.dashboard import theme
from assay.dashboard.tables import comparison as comparison_tables


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [
        (0, "0 B"),
        (1024, "1.0 KiB"),
        (3 * 1024**2, "3.0 MiB"),
        (5 * 1024**3, "5.00 GiB"),
        (None, "-"),
        (float("nan"), "-"),
    ],
)
def test_sizes_are_written_for_people(bytes_: Any, text: str):
    assert theme.size(bytes_) == text


def test_names_from_the_database_are_never_markup():
    assert theme.markdown("<b>x</b> [a](b) **c**") == r"\<b\>x\</b\> \[a\]\(b\) \*\*c\*\*"
    assert r"\<script\>" in comparison_tables.environment({"gpu": ["<script>", "b"]})


def test_a_nan_element_is_written_as_what_it_is():
    assert [theme.element(value) for value in (float("nan"), float("-inf"), 0.1)] == ["NaN", "-inf", "0.1"]
