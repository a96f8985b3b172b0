"""Names and messages do nothing where they are shown."""

from __future__ import annotations

import io
import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from assay.runner.escaping import Terminal, csv_cell, markdown, terminal


def test_escapes_and_turned_text_are_seen_and_not_obeyed():
    assert terminal("a\x1b[31mb\x9b\u202ec\r\n\td") == "a\\u001b[31mb\\u009b\\u202ec\\u000d\n\td"


@given(st.text())
def test_no_control_character_reaches_a_terminal(text: str):
    out = io.StringIO()
    Terminal(out).write(text)
    assert not [c for c in out.getvalue() if unicodedata.category(c) == "Cc" and c not in "\n\t"]


@given(st.text())
def test_json_on_a_terminal_keeps_its_meaning(text: str):
    assert json.loads(terminal(json.dumps(text, ensure_ascii=False))) == text


def test_markdown_has_no_html_no_link_that_runs_code_and_no_end_of_a_cell():
    assert markdown("<script>a|b\n[x](JavaScript:alert(1))") == "&lt;script>a\\|b [x]\\(JavaScript&#58;alert(1))"
    assert markdown("&lt;") == "&amp;lt;"


@given(st.text(alphabet="<|]([\n\r&javscript: \\\x1b"))
def test_markdown_is_one_line_without_tags_and_links(text: str):
    made = markdown(text)
    assert "<" not in made
    assert "](" not in made
    assert len(made.splitlines()) <= 1
    assert "javascript:" not in made


def test_a_formula_in_csv_is_text_and_a_number_stays_one():
    assert [csv_cell(cell) for cell in ("=1+1", "+1", "-x", "@f", "\tx", "\rx")] == [
        *("'=1+1", "'+1", "'-x", "'@f", "'\tx", "'\rx"),
    ]
    assert [csv_cell(cell) for cell in (-1.5, None, "a=b")] == [-1.5, None, "a=b"]
