"""What every session answers, whatever its backend leaves out."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.runner.backends.fake import FakeSession
from assay.runner.session import Session
from tests.places import ROOT

X = np.ones((2, 3), np.float32)


def probes_of(tree: ast.AST) -> list[str]:
    """Where code asks an object whether it has something: hasattr, and getattr with what to take in its place."""
    return [
        f"line {call.lineno}: {ast.unparse(call)}"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and (call.func.id == "hasattr" or (call.func.id == "getattr" and len(call.args) == 3))
        and any(word in ast.unparse(call.args[0]).lower() for word in ("session", "original", "backend", "stream"))
    ]


@pytest.mark.parametrize("room", ["worker", "run", "parity"])
def test_nobody_asks_a_session_whether_it_can_something(room: str):
    files = sorted((ROOT / "runner" / room).rglob("*.py"))
    assert files
    found = {str(file.relative_to(ROOT)): probes_of(ast.parse(file.read_text())) for file in files}
    assert {file: probes for file, probes in found.items() if probes} == {}


def test_a_probe_would_be_found():
    code = "a = session.memory() if hasattr(session, 'memory') else {}\nb = getattr(load_backend(name), 'X', False)"
    assert sorted(probe.split(":")[0] for probe in probes_of(ast.parse(code))) == ["line 1", "line 2"]


def test_what_a_session_does_not_know_is_said_so():
    session = FakeSession({"gain": 2.0})
    assert (session.builds(), session.memory(), session.in_training(), session.arithmetics) == ({}, {}, [], ())
    assert (session.information(), session.weights_origin(), session.module) == (None, None, None)
    assert session.parameters() == (None, None)
    stream = session.open_stream({"state": "x_out"})
    stream.step({"x": X})
    np.testing.assert_array_equal(stream.outputs()["x_out"], 2 * X)
    assert stream.device_outputs() is None


@pytest.mark.parametrize(
    ("ability", "arguments", "says"),
    [
        ("bind", ({"x": X},), "no device"),
        ("profile", ({"x": X}, 3, 1), "no profiler"),
        ("infer_as", ({"x": X}, "float64"), "not compute in float64"),
    ],
)
def test_what_a_session_cannot_do_is_refused_in_words(ability: str, arguments: tuple[Any, ...], says: str):
    with pytest.raises(ValueError, match=says):
        getattr(FakeSession({}), ability)(*arguments)


def test_a_session_without_one_of_the_four_things_that_all_can_do_is_none():
    class Half(Session):
        def infer(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(TypeError, match="placement"):
        Half()  # type: ignore[abstract]


def test_every_session_of_the_backends_is_a_session():
    """By their source: a backend's library need not be installed."""
    folder = ROOT / "runner" / "backends"
    for file in sorted(Path(folder).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and node.name.endswith(("Session", "Stream")):
                base = "Session" if node.name.endswith("Session") else "Stream"
                assert base in [ast.unparse(b) for b in node.bases], f"{file.name}: {node.name}"
