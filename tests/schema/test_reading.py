"""What others wrote is a value within bounds, or the one error."""

from __future__ import annotations

import os
import string
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.runner.errors import UsageError
from assay.schema.errors import BadDocument
from assay.schema.reading import Limits, csv_rows, json_document, read_text, reading, toml

SMALL = Limits(bytes=100, depth=3, items=5, digits=4, columns=3, field=8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested deeper than 64"),
        ("[" * 65 + "]" * 65, "nested deeper than 64"),
        ("1" * 5_000, "5000 digits"),
        ("1e999", "larger than any number"),
        ('{"a": 1, "a": 2}', "key 'a' is there twice"),
        ('"\\ud800"', "half a surrogate pair"),
        ('"\\u0000"', "NUL"),
        ("{", "not valid JSON"),
        (b"\xff", "UTF-8"),
    ],
)
def test_json_that_is_hostile_is_refused_with_the_reason(text: str | bytes, words: str):
    with pytest.raises(BadDocument, match=f"^file.*{words}"):
        json_document(text, "file")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 100_000, "nested deeper"),
        (".".join("a" * 200_000) + " = 1", "more than 64 parts"),
        ("a = " + "1" * 5_000, "digits"),
        ("a = 1e999", "larger than any number"),
        ("a = 1\na = 2", "not valid TOML"),
        ("a = 2026-13-45", "not valid TOML"),
    ],
)
def test_toml_that_is_hostile_is_refused_with_the_reason(text: str, words: str):
    with pytest.raises(BadDocument, match=f"^file.*{words}"):
        toml(text, "file")


def test_what_is_within_the_limits_is_read_and_one_more_is_not():
    assert json_document("[[[1234]]]", "file", SMALL) == [[[1234]]]
    for over in ("[[[[1]]]]", "12345", "[1, 2, 3, 4, 5]", " " * 101):
        with pytest.raises(BadDocument):
            json_document(over, "file", SMALL)


def test_csv_is_rows_by_column_and_its_faults_name_the_line():
    assert csv_rows("a,b\n1,2\n3\n", "file") == (["a", "b"], [{"a": "1", "b": "2"}, {"a": "3", "b": ""}])
    for text, words in (
        ("a,b\n1,2,3\n", "line 2: 3 fields"),
        ("a,a\n", "'a' is there twice"),
        ("a\n" + "x" * 9, "line 2"),
        ("a,b,c,d\n", "4 columns"),
    ):
        with pytest.raises(BadDocument, match=words):
            csv_rows(text, "file", SMALL)


def test_a_pipe_a_folder_and_a_large_file_are_refused_and_never_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * 101)
    for name, words in (("pipe", "a pipe"), ("", "a folder"), ("large", "101 bytes"), ("none", "No such file")):
        with pytest.raises(BadDocument, match=words):
            read_text(tmp_path / name, SMALL)


def test_any_error_of_a_parser_becomes_the_one_and_errors_for_people_pass():
    with pytest.raises(BadDocument, match="f: it is not a list: key 'a' is missing"), reading("f", "a list"):
        {}["a"]
    with pytest.raises(UsageError, match="^said$"), reading("f", "a list"):
        raise UsageError("said")
    with pytest.raises(OverflowError), reading("f", "a list", OverflowError):
        raise OverflowError


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=string.printable + "\0\ud800é", max_size=200) | st.binary(max_size=200))
def test_any_text_is_a_value_or_the_one_error(text: str | bytes):
    said = text.decode("latin-1") if isinstance(text, bytes) else text
    for parse in (json_document, toml, csv_rows):
        with suppress(BadDocument):
            assert parse(said, "file") is not Ellipsis
