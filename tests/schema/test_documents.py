"""JSON that every parser takes."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.schema.documents import document, pack, strict, unpack


def refuse(token: str) -> Any:
    raise AssertionError(f"{token} is no JSON")


def test_infinities_and_nan_are_words_and_numbers_stay_numbers():
    text = strict({"margin": math.inf, "low": -math.inf, "samples": [1.5, math.nan], "n": 3})
    assert json.loads(text, parse_constant=refuse) == {
        "margin": "Infinity", "low": "-Infinity", "samples": [1.5, "NaN"], "n": 3,
    }  # fmt: skip


def test_times_and_paths_are_text():
    assert json.loads(strict({"at": datetime(2026, 1, 2, tzinfo=UTC), "in": Path("a/b")})) == {
        "at": "2026-01-02 00:00:00+00:00",
        "in": "a/b",
    }


def test_a_document_begins_with_the_version_of_its_shape():
    assert list(document({"run": "r"})) == ["schema_version", "run"]
    assert document([{"name": "a"}, {"name": "b"}]) == [
        {"schema_version": 1, "name": "a"},
        {"schema_version": 1, "name": "b"},
    ]
    assert document([]) == []
    assert document({"schema_version": 7}) == {"schema_version": 7}


@pytest.mark.parametrize("line", [b"", b"Infinity and more", b"{"])
def test_what_is_no_json_is_refused(line: bytes):
    with pytest.raises(ValueError, match="Expecting|Extra data"):
        unpack(line)


def test_bare_tokens_of_older_files_are_read():
    assert unpack('{"margin": Infinity}') == {"margin": math.inf}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
)


@given(VALUES)
def test_whatever_is_packed_is_strict_and_comes_back(value: Any):
    line = pack(value)
    json.loads(line, parse_constant=refuse)
    assert repr(unpack(line)) == repr(value)


@given(VALUES)
def test_whatever_is_written_is_read_by_a_strict_parser(value: Any):
    json.loads(strict(value), parse_constant=refuse)
