"""What modules take and give beside plain tensors, in PyTorch itself and through both exporters."""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.runner.errors import UsageError
from assay.runner.session import Source
from assay.runner.tensors import Tensors, dtype_named

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

X = np.arange(6, dtype=np.float32).reshape(2, 3) + 1
Pair = namedtuple("Pair", "first second")  # noqa: PYI024  as users write them


class Nested(torch.nn.Module):
    """A dictionary with a tuple and nothing in it; optional arguments that are left out."""

    def forward(self, x, mask=None, scale: float = 2.0):  # type: ignore[no-untyped-def]
        y = x * scale if mask is None else x * mask
        return {"logits": y, "hidden": (y + 1, y + 2), "extra": None}


@dataclasses.dataclass
class Answer:
    logits: Any = None
    hidden: Any = None
    loss: Any = None


class Dataclass(torch.nn.Module):
    def forward(self, x):  # type: ignore[no-untyped-def]
        return Answer(x + 1, (x + 2, None))


class Cache:
    """Like those of transformers: an object with tensors in its attributes."""

    def __init__(self, keys: Any, values: Any) -> None:
        self.keys, self.values, self.seen = [keys], [values], "four tokens"


class Cached(torch.nn.Module):
    def forward(self, x):  # type: ignore[no-untyped-def]
        return {"logits": x, "past": Cache(x + 1, x + 2)}


class Numbers(torch.nn.Module):
    def forward(self, x):  # type: ignore[no-untyped-def]
        return {"y": x + 1, "temperature": 0.5, "count": 3, "done": True, "total": x.sum()}


class Named(torch.nn.Module):
    def forward(self, x):  # type: ignore[no-untyped-def]
        return Pair(x, (x + 1, None))


class Past(torch.nn.Module):
    """Keys and values of two layers, in and out."""

    def forward(self, x, past=None, **kwargs):  # type: ignore[no-untyped-def]  # noqa: ARG002
        total = x + sum(2 * key + value for key, value in past)
        return {"y": total, "present": tuple((key + x, value + x) for key, value in past)}


PAST = {f"past.{layer}.{part}": X * (layer + 2 * part + 1) for layer in (0, 1) for part in (0, 1)}
CASES = {
    "nested": (Nested, {"x": X}, ["logits", "hidden.0", "hidden.1"], ["'extra' (None)"]),
    "dataclass": (Dataclass, {"x": X}, ["logits", "hidden.0"], ["'hidden.1' (None)", "'loss' (None)"]),
    "cache": (Cached, {"x": X}, ["logits", "past.keys.0", "past.values.0"], []),
    "numbers": (Numbers, {"x": X}, ["y", "temperature", "count", "done", "total"], []),
    "namedtuple": (Named, {"x": X}, ["output", "output_1"], ["'second.1' (None)"]),
    "past": (
        Past, {**PAST, "x": X}, ["y", "present.0.0", "present.0.1", "present.1.0", "present.1.1"], [],
    ),
}  # fmt: skip


def session_of(module: Any, names: tuple[str, ...] | None = None) -> Any:
    from assay.runner.backends.pytorch_module import PyTorchSession

    return PyTorchSession(module.eval(), Source("factory", "m.py:m", Path(), outputs=names), torch.device("cpu"), {})


def exported(module: Any, inputs: Tensors, names: tuple[str, ...], target: Path, exporter: str) -> Tensors:
    from assay.runner.backends.onnxruntime_session import open_session
    from assay.runner.recipes import export
    from assay.runner.recipes.build import Ingredients

    export.build(Ingredients(target, {"exporter": exporter}, inputs, module, None, None, {}, target.parent, names))
    with open_session(Source("onnx", str(target), target.parent), {}) as session:
        return session.infer(inputs)


@pytest.mark.parametrize("exporter", ["dynamo", "legacy"])
@pytest.mark.parametrize("case", CASES)
def test_nested_outputs_are_named_by_where_they_lie_and_exported_under_these_names(
    tmp_path: Path, case: str, exporter: str
):
    made, inputs, names, left_out = CASES[case]
    module = made()
    session = session_of(module)
    right = session.infer(inputs)
    assert (list(right), list(session.left_out)) == (names, left_out)
    candidate = exported(module, inputs, session.output_names, tmp_path / "m.onnx", exporter)
    assert list(candidate) == names
    for name in names:
        np.testing.assert_allclose(candidate[name], right[name], rtol=1e-6, err_msg=name)
        assert candidate[name].dtype == right[name].dtype


def test_the_suites_names_are_given_in_order_to_tensors_or_to_everything():
    assert list(session_of(Nested(), ("a", "b", "c")).infer({"x": X})) == ["a", "b", "c"]
    assert list(session_of(Numbers(), ("y", "total")).infer({"x": X})) == ["y", "total"]
    assert list(session_of(Numbers(), ("a", "b", "c", "d", "e")).infer({"x": X})) == ["a", "b", "c", "d", "e"]
    with pytest.raises(ValueError, match=r"names 2 outputs \(a, b\), the model has 3"):
        session_of(Nested(), ("a", "b")).infer({"x": X})


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"x": X, "y": X}, "the module takes x, mask, scale; the workload has y beside them"),
        ({"x": X, "mask.0": X, "mask.2": X}, r"input 'mask' has the elements 0, 2: they are numbered from 0 on"),
        ({"x": np.array(["a"])}, "input 'x': it holds text"),
    ],
)
def test_inputs_that_do_not_fit_the_arguments_are_refused_by_name(inputs: Tensors, says: str):
    with pytest.raises(ValueError, match=says):
        session_of(Nested()).infer(inputs)


def test_an_output_with_the_name_of_an_input_is_refused_before_it_is_exported(tmp_path: Path):
    class Same(torch.nn.Module):
        def forward(self, x):  # type: ignore[no-untyped-def]
            return {"x": x + 1}

    with pytest.raises(UsageError, match="output 'x' has the name of an input"):
        exported(Same(), {"x": X}, ("x",), tmp_path / "m.onnx", "dynamo")


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16", "complex64", "uint16", "bool"])
def test_arrays_become_tensors_and_come_back_bit_by_bit(name: str):
    from assay.runner.recipes.torch_tensors import to_numpy, to_torch

    for array in (X.astype(dtype_named(name)), X[:0].astype(dtype_named(name)), X[0, 0].astype(dtype_named(name))):
        back = to_numpy(to_torch(np.asarray(array)))
        assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_conjugated_and_sparse_tensors_come_as_their_values():
    from assay.runner.recipes.torch_tensors import to_numpy

    z = torch.tensor([1 + 2j, 3 - 1j])
    assert to_numpy(z.conj()).tolist() == [1 - 2j, 3 + 1j]
    assert to_numpy(z.conj().imag).tolist() == [-2.0, 1.0]
    assert to_numpy(torch.eye(2).to_sparse()).tolist() == [[1, 0], [0, 1]]


def test_a_module_in_bfloat16_is_exported_and_agrees(tmp_path: Path):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).to(torch.bfloat16).eval()
    inputs = {"input": X.astype(dtype_named("bfloat16"))}
    session = session_of(module, ("y",))
    right = session.infer(inputs)["y"]
    made = exported(module, inputs, ("y",), tmp_path / "m.onnx", "dynamo")["y"]
    assert (made.dtype.name, made.tobytes()) == ("bfloat16", right.tobytes())
