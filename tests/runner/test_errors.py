"""An error of somebody else's library says in its first line what began it, and where in the user's own code."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from assay.runner.errors import UsageError, first_cause, in_full, says_its_cause
from assay.runner.worker.jobs.session import plain

SOURCE = """
def inner():
    raise TypeError("zeros(): argument 'size' must be a tuple of ints\\nmore words")

def wrapped():
    try:
        inner()
    except TypeError as error:
        raise RuntimeError("Failed to export. Next steps:\\n- read the manual") from error

def meanwhile():
    try:
        inner()
    except TypeError:
        raise RuntimeError("Failed to quantize.")

def looked_up():
    try:
        {}["a"]
    except KeyError:
        raise RuntimeError("node 'a' is not supported")

def silenced():
    try:
        inner()
    except TypeError:
        raise RuntimeError("said in full") from None
"""


@pytest.fixture
def user(tmp_path: Path) -> ModuleType:
    path = tmp_path / "user.py"
    path.write_text(SOURCE)
    module = ModuleType("user")
    exec(compile(SOURCE, str(path), "exec"), module.__dict__)  # noqa: S102  as a user's file is loaded
    return module


def raised(user: ModuleType, name: str) -> Exception:
    with pytest.raises(Exception) as error:  # noqa: PT011  whatever it is
        getattr(user, name)()
    return error.value


@pytest.mark.parametrize("name", ["wrapped", "meanwhile"])
def test_the_first_line_is_what_began_it_with_the_users_line(user: ModuleType, name: str):
    said = in_full(raised(user, name)).splitlines()
    assert said[0] == "TypeError: zeros(): argument 'size' must be a tuple of ints (user.py:3, in inner)"
    assert said[1].startswith("RuntimeError: Failed to ")


@pytest.mark.parametrize(("name", "says"), [("looked_up", "node 'a' is not supported"), ("silenced", "said in full")])
def test_a_lookup_that_failed_meanwhile_and_what_was_silenced_began_nothing(user: ModuleType, name: str, says: str):
    error = raised(user, name)
    assert first_cause(error) is error
    assert plain(error) == says


def test_an_error_that_says_its_cause_is_left_as_it_is(user: ModuleType):
    """Our own errors carry the words of what they are from; saying them twice would push them out of the line."""
    wrapped = ValueError("could not run: boom")
    wrapped.__cause__ = RuntimeError("boom")
    assert says_its_cause(wrapped)
    assert plain(wrapped) == "could not run: boom"
    ours = UsageError("the model has no output")
    ours.__cause__ = raised(user, "inner")
    assert plain(ours) == "the model has no output"


def test_an_error_without_words_and_a_circle_of_errors_come_to_an_end():
    assert in_full(ValueError()) == "ValueError: it says nothing more"
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert first_cause(first) is second
