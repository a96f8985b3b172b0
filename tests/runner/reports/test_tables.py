"""The one table: what it says, what it leaves out, and that it fits."""

from __future__ import annotations

from datetime import datetime

import pytest

from assay.runner.reports.console import quantity
from assay.runner.reports.tables import cell, shortened, table_lines


def text(rows, columns, title="", width=80):
    return [line.plain for line in table_lines(rows, columns, title, width)]


def test_a_table_without_rows_is_a_sentence():
    assert text([], ["a"], "waivers") == ["waivers: none"]
    assert text([], ["a"], "0 alerts; 2 are over (--all)") == ["0 alerts; 2 are over (--all)"]
    assert text([], ["a"]) == ["none"]


def test_an_empty_column_is_left_out_and_an_equal_one_is_said_once():
    rows = [{"name": "a", "status": "ok", "error": None, "n": 1}, {"name": "b", "status": "ok", "error": "", "n": 2}]
    assert text(rows, ["name", "status", "error", "n"], "cases") == [
        "cases",
        "  all: status ok",
        "name  n",
        "----  -",
        "a     1",
        "b     2",
    ]


def test_one_row_is_not_taken_for_a_column_that_says_nothing():
    assert text([{"name": "a", "status": "ok"}], ["name", "status"])[-1] == "a     ok"


def test_wide_leaves_nothing_out():
    rows = [{"name": "a", "run_id": "0123456789abcdef", "error": None}] * 2
    assert text(rows, ["name", "run_id", "error"], width=None)[-1] == "a     0123456789abcdef  -"


def test_columns_that_do_not_fit_are_named():
    rows = [{"name": f"n{i}", "one": 10**12 + i, "two": 10**13 + i, "why": f"because {i}"} for i in range(2)]
    lines = text(rows, ["name", "one", "two", "why"], width=32)
    assert lines[-1] == "  not shown: two (--wide)"
    assert "because 1" in lines[-2]
    assert max(map(len, lines)) <= 32


def test_names_are_broken_after_a_slash_or_an_underscore_and_words_are_whole():
    lines = text([{"case": "encoder/fp32/onnxruntime/w", "why": "not distinguishable"}], ["case", "why"], width=30)
    assert lines[2:] == ["encoder/fp32/  not", "onnxruntime/w  distinguishable"]


def test_a_name_that_is_repeated_is_said_once():
    rows = [{"case": "a", "metric": name} for name in ("x", "y")] + [{"case": "b", "metric": "x"}]
    assert text(rows, ["case", "metric"])[2:] == ["a     x", "      y", "b     x"]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("duration_s", 0.123456, "0.1235 s"),
        ("local_us", 12345.6, "12,350 us"),
        ("array_bytes", 3 << 20, "3.0 MiB"),
        ("share", 0.1234, "12.3%"),
        ("value", float("nan"), "-"),
        ("passed", True, "yes"),
        ("started_at", datetime.fromisoformat("2026-01-02T03:04:05"), "2026-01-02 03:04"),
        ("outputs", [], "-"),
        ("outputs", ["a", "b"], "a, b"),
    ],
)
def test_a_cell_says_its_unit_and_at_most_four_digits(name, value, shown):
    assert cell(name, value) == shown


def test_quantities_have_their_unit_and_a_ratio_has_none():
    assert quantity(0.00012346, "ms") == "0.0001235 ms"
    assert quantity(1.23456, "1") == "1.235"
    assert quantity(1536, "bytes") == "1.5 KiB"
    assert quantity(float("inf"), "dB") == "inf dB"
    assert quantity(None, "ms") == "-"


def test_ids_are_cut_to_their_shortest_unique_beginning():
    assert shortened(["01a21220-855c", "01a21220-9999"]) == ["01a21220-8", "01a21220-9"]
    assert shortened(["aaaaaaaaaaaa", "bbbbbbbbbbbb", None]) == ["aaaaaaaa", "bbbbbbbb", None]
    assert shortened(["same-id-same-id"] * 2) == ["same-id", "same-id"]
    assert shortened([]) == []
