"""Graphs that are right where they were traced: at other sizes, with other rows and lengths, faults show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

from assay.runner.backends import load_backend
from assay.runner.graphs.audit import audit
from assay.runner.rules.contract import Contract
from assay.runner.rules.policy import Policy
from assay.runner.session import Source
from assay.runner.worker.jobs.other_sizes import Recorder, compare
from assay.runner.worker.jobs.session import Renamed
from assay.runner.workloads import golden

Arrays = dict[str, Any]
Function = Callable[[Arrays], Arrays]
FLOAT, INT64, BOOL = T.FLOAT, T.INT64, T.BOOL


@dataclass
class Told:
    """Events of one comparison."""

    events: list[Any] = field(default_factory=list)

    def emit(self, event: Any) -> None:
        self.events.append(event)

    def notes(self, kind: str) -> list[str]:
        return [e.message for e in self.events if type(e).__name__ == "Noticed" and e.kind == kind]

    @property
    def failed(self) -> bool:
        receipts = [e.receipt for e in self.events if type(e).__name__ == "ReceiptGiven" and e.receipt["step"] < 0]
        return bool(self.notes("traced_length")) or any(r["violations"] or r["problem"] for r in receipts)

    @property
    def compared(self) -> bool:
        return any(type(e).__name__ == "ReceiptGiven" for e in self.events)


class Calls:
    """A session made of a function."""

    def __init__(self, function: Function) -> None:
        self._function = function

    def infer(self, inputs: Arrays) -> Arrays:
        return {name: np.asarray(array) for name, array in self._function(inputs).items()}


@dataclass
class Job:
    """What a recorder reads of its job."""

    goldens: str
    golden_names: dict[str, str]
    rename_inputs: dict[str, str] = field(default_factory=dict)


def asked(
    folder: Path, reference: Function, candidate: Any, axes: Any, steps: list[Arrays], contract: Contract | None = None
) -> Told:
    """What is told of a candidate that keeps `axes` open, over what a reference records."""
    told, contract, session = Told(), contract or Contract(), Calls(reference)
    recorded = golden.write(folder, "recorded", {}, [(step, session.infer(step)) for step in steps])
    job: Any = Job(str(folder), {"w": "recorded"})
    events: Any = told
    original: Any = session
    Recorder(job, events, original, contract).record({"variant": "v", "workload": "w"}, recorded, axes)
    where = [e.golden for e in told.events if type(e).__name__ == "LengthsRecorded"]
    for name in where:
        compare(events, Renamed(candidate, {}, {}), golden.read(folder, name), Policy(), contract)
    return told


def of_graph(folder: Path, reference: Function, model: onnx.ModelProto, steps: list[Arrays], **more: Any) -> Told:
    path = folder / "model.onnx"
    onnx.save(model, path)
    source = Source("onnx", str(path), folder)
    with load_backend("onnxruntime").open_session(source, {}) as session:
        for step in steps:  # what was traced is right: only other sizes tell
            for name, array in reference(step).items():
                np.testing.assert_allclose(session.infer(step)[name], array, atol=1e-5)
        return asked(folder, reference, session, audit(path).dynamic_axes, steps, **more)


def graph(inputs: Any, outputs: Any, nodes: Any, constants: Any = None) -> onnx.ModelProto:
    """A model of nodes `(op, inputs, outputs, attributes)`; ports are name -> (type, shape)."""
    made = [h.make_node(op, ins.split(), outs.split(), **given) for op, ins, outs, given in nodes]
    held = [nh.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    ports = [[h.make_tensor_value_info(n, *of) for n, of in side.items()] for side in (inputs, outputs)]
    body = h.make_graph(made, "g", ports[0], ports[1], held)
    return h.make_model(body, opset_imports=[h.make_opsetid("", 17)], ir_version=8)


def floats(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


X = {"x": (FLOAT, ["b", "t", 3])}
ONE = [{"x": floats(1, 4, 3, seed=seed)} for seed in range(3)]


def softmax(x: Any, axis: Any = -1) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def first_row_for_all() -> Any:
    nodes = [
        ("ReduceSum", "x one", "s", {"keepdims": 0}),
        ("Gather", "s zero", "r", {"axis": 0}),
        ("Shape", "s", "n", {}),
        ("Expand", "r n", "y", {}),
    ]
    made = graph(X, {"y": (FLOAT, ["b", 3])}, nodes, {"one": [1], "zero": [0]})
    return made, lambda i: {"y": i["x"].sum(1)}, ONE


def softmax_over_the_batch() -> Any:
    nodes = [
        ("Shape", "x", "n", {}),
        ("Reshape", "x flat", "f", {}),
        ("Softmax", "f", "p", {"axis": 1}),
        ("Reshape", "p n", "y", {}),
    ]
    made = graph(X, {"y": (FLOAT, ["b", "t", 3])}, nodes, {"flat": [1, -1]})
    return made, lambda i: {"y": softmax(i["x"].reshape(len(i["x"]), -1)).reshape(i["x"].shape)}, ONE


def rows_reversed() -> Any:
    nodes = [("Slice", "x s e a p", "y", {})]
    constants = {"s": [-1], "e": [np.iinfo(np.int64).min], "a": [0], "p": [-1]}
    return graph(X, {"y": (FLOAT, ["b", "t", 3])}, nodes, constants), lambda i: {"y": i["x"]}, ONE


def time_reversed_by_the_traced_indices() -> Any:
    nodes = [("Gather", "x back", "y", {"axis": 1})]
    made = graph(X, {"y": (FLOAT, ["b", "u", 3])}, nodes, {"back": [3, 2, 1, 0]})
    return made, lambda i: {"y": i["x"][:, ::-1]}, ONE


def reverse_over_the_padding() -> Any:
    ports = {**X, "n": (INT64, ["b"])}
    nodes = [
        ("Shape", "x", "d", {}),
        ("Gather", "d one", "t", {}),
        ("Gather", "d zero", "k", {}),
        ("Expand", "t k", "whole", {}),
        ("ReverseSequence", "x whole", "r", {"batch_axis": 0, "time_axis": 1}),
        ("Identity", "n", "m", {}),
    ]
    made = graph(ports, {"r": (FLOAT, ["b", "t", 3]), "m": (INT64, ["b"])}, nodes, {"one": [1], "zero": [0]})

    def right(i: Arrays) -> Arrays:
        r = i["x"].copy()
        for row, n in enumerate(i["n"]):
            r[row, :n] = i["x"][row, :n][::-1]
        return {"r": r, "m": i["n"]}

    return made, right, [{"x": floats(2, 5, 3, seed=s), "n": np.array([5, 5])} for s in range(2)]


def table_of_positions_that_wraps() -> Any:
    table = floats(16, 3)
    nodes = [
        ("Shape", "x", "d", {}),
        ("Gather", "d one", "t", {}),
        ("Range", "zero t step", "p", {}),
        ("Mod", "p size", "w", {}),
        ("Gather", "table w", "e", {"axis": 0}),
        ("Add", "x e", "y", {}),
    ]
    constants = {"one": 1, "zero": 0, "step": 1, "size": 16, "table": table}
    made = graph(X, {"y": (FLOAT, ["b", "t", 3])}, nodes, constants)
    long = np.concatenate([table, floats(400, 3, seed=1)])
    return made, lambda i: {"y": i["x"] + long[: i["x"].shape[1]]}, ONE


def mean_over_the_padding() -> Any:
    ports = {**X, "n": (INT64, ["b"])}
    nodes = [("ReduceMean", "x", "y", {"axes": [1], "keepdims": 0}), ("Add", "n n", "m", {})]
    made = graph(ports, {"y": (FLOAT, ["b", 3]), "m": (INT64, ["b"])}, nodes)

    def right(i: Arrays) -> Arrays:
        y = [row[:n].sum(0) / n for row, n in zip(i["x"], i["n"], strict=True)]
        return {"y": np.array(y, np.float32), "m": i["n"] * 2}

    return made, right, [{"x": floats(2, 6, 3, seed=s), "n": np.array([6, 6])} for s in range(2)]


def attention_that_sees_the_padding() -> Any:
    ports = {**X, "mask": (BOOL, ["b", "t"])}
    nodes = [
        ("Transpose", "x", "xt", {"perm": [0, 2, 1]}),
        ("MatMul", "x xt", "s", {}),
        ("Softmax", "s", "p", {"axis": -1}),
        ("MatMul", "p x", "y", {}),
        ("Not", "mask", "padded", {}),
    ]
    made = graph(ports, {"y": (FLOAT, ["b", "t", 3]), "padded": (BOOL, ["b", "t"])}, nodes)
    return made, attended, [{"x": floats(2, 6, 3, seed=s), "mask": np.ones((2, 6), bool)} for s in range(2)]


def attended(i: Arrays) -> Arrays:
    s = i["x"] @ i["x"].swapaxes(1, 2)
    s = np.where(i["mask"][:, None], s, -1e9).astype(np.float32)
    return {"y": softmax(s) @ i["x"], "padded": ~i["mask"]}


def pool_that_drops_the_odd_one() -> Any:
    nodes = [
        ("Transpose", "x", "c", {"perm": [0, 2, 1]}),
        ("MaxPool", "c", "y", {"kernel_shape": [2], "strides": [2], "ceil_mode": 0}),
    ]
    made = graph(X, {"y": (FLOAT, ["b", 3, "u"])}, nodes)

    def right(i: Arrays) -> Arrays:
        x = i["x"].swapaxes(1, 2)
        return {"y": np.stack([x[..., k : k + 2].max(-1) for k in range(0, x.shape[-1], 2)], -1)}

    return made, right, ONE


def normalised_over_the_batch() -> Any:
    nodes = [("ReduceMean", "x", "m", {"axes": [0, 1], "keepdims": 1}), ("Sub", "x m", "y", {})]
    return graph(X, {"y": (FLOAT, ["b", "t", 3])}, nodes), lambda i: {"y": i["x"] - i["x"].mean(1, keepdims=True)}, ONE


def shape_that_was_traced() -> Any:
    nodes = [("Reshape", "x n", "y", {})]
    return graph(X, {"y": (FLOAT, ["b", 12])}, nodes, {"n": [1, 12]}), flattened, ONE


def flattened(i: Arrays) -> Arrays:
    if i["x"].shape[1] != 4:
        raise ValueError("four steps")
    return {"y": i["x"].reshape(-1, 12)}


FAULTY = [
    first_row_for_all,
    softmax_over_the_batch,
    rows_reversed,
    time_reversed_by_the_traced_indices,
    reverse_over_the_padding,
    table_of_positions_that_wraps,
    mean_over_the_padding,
    attention_that_sees_the_padding,
    pool_that_drops_the_odd_one,
    normalised_over_the_batch,
    shape_that_was_traced,
]


@pytest.mark.parametrize("faulty", FAULTY, ids=lambda made: made.__name__)
def test_a_graph_that_is_right_only_where_it_was_traced_fails(faulty: Any, tmp_path: Path):
    made, right, steps = faulty()
    assert of_graph(tmp_path, right, made, steps).failed


def recurrent() -> Any:
    w, r = floats(1, 4, 3), floats(1, 4, 4, seed=1)
    nodes = [
        ("Transpose", "x", "xt", {"perm": [1, 0, 2]}),
        ("RNN", "xt w r", "Y", {"hidden_size": 4}),
        ("Squeeze", "Y one", "Z", {}),
        ("Transpose", "Z", "y", {"perm": [1, 0, 2]}),
    ]
    made = graph(X, {"y": (FLOAT, ["b", "t", 4])}, nodes, {"w": w, "r": r, "one": [1]})

    def right(i: Arrays) -> Arrays:
        state, found = np.zeros((len(i["x"]), 4), np.float32), []
        for step in range(i["x"].shape[1]):
            state = np.tanh(i["x"][:, step] @ w[0].T + state @ r[0].T)
            found.append(state)
        return {"y": np.stack(found, 1)}

    return made, right, ONE


def lstm_with_lengths() -> Any:
    w, r = floats(1, 8, 3), floats(1, 8, 2, seed=1)
    ports = {**X, "n": (INT64, ["b"])}
    nodes = [
        ("Transpose", "x", "xt", {"perm": [1, 0, 2]}),
        ("Cast", "n", "n32", {"to": T.INT32}),
        ("LSTM", "xt w r none n32", "Y", {"hidden_size": 2}),
        ("Squeeze", "Y one", "Z", {}),
        ("Transpose", "Z", "y", {"perm": [1, 0, 2]}),
    ]
    made = graph(ports, {"y": (FLOAT, ["b", "t", 2])}, nodes, {"w": w, "r": r, "one": [1]})
    made.graph.node[2].input[3] = ""  # no bias

    def sigmoid(v: Any) -> Any:
        return 1 / (1 + np.exp(-v))

    def right(i: Arrays) -> Arrays:
        y = np.zeros((*i["x"].shape[:2], 2), np.float32)
        for row, n in enumerate(i["n"]):
            hidden = cell = np.zeros(2, np.float32)
            for step in range(n):
                gates = i["x"][row, step] @ w[0].T + hidden @ r[0].T
                a, o, f, c = gates.reshape(4, 2)
                cell = sigmoid(f) * cell + sigmoid(a) * np.tanh(c)
                hidden = sigmoid(o) * np.tanh(cell)
                y[row, step] = hidden
        return {"y": y}

    return made, right, [{"x": floats(2, 5, 3, seed=s), "n": np.array([5, 5])} for s in range(2)]


def attention_with_a_mask() -> Any:
    ports = {**X, "mask": (BOOL, ["b", "t"])}
    nodes = [
        ("Transpose", "x", "xt", {"perm": [0, 2, 1]}),
        ("MatMul", "x xt", "s", {}),
        ("Unsqueeze", "mask one", "m", {}),
        ("Where", "m s low", "k", {}),
        ("Softmax", "k", "p", {"axis": -1}),
        ("MatMul", "p x", "y", {}),
        ("Not", "mask", "padded", {}),
    ]
    outputs = {"y": (FLOAT, ["b", "t", 3]), "padded": (BOOL, ["b", "t"])}
    made = graph(ports, outputs, nodes, {"one": [1], "low": np.float32(-1e9)})
    return made, attended, [{"x": floats(2, 6, 3, seed=s), "mask": np.ones((2, 6), bool)} for s in range(2)]


def convolution_with_a_stride() -> Any:
    w = floats(2, 3, 3)
    nodes = [("Transpose", "x", "c", {"perm": [0, 2, 1]}), ("Conv", "c w", "y", {"strides": [2], "pads": [1, 1]})]
    made = graph(X, {"y": (FLOAT, ["b", 2, "u"])}, nodes, {"w": w})

    def right(i: Arrays) -> Arrays:
        x = np.pad(i["x"].swapaxes(1, 2), ((0, 0), (0, 0), (1, 1)))
        steps = range(0, x.shape[-1] - 2, 2)
        return {"y": np.stack([np.einsum("bck,ock->bo", x[..., k : k + 3], w) for k in steps], -1)}

    return made, right, ONE


def largest_two() -> Any:
    nodes = [("TopK", "x k", "v i", {"axis": 1})]
    made = graph(X, {"v": (FLOAT, ["b", 2, 3]), "i": (INT64, ["b", 2, 3])}, nodes, {"k": [2]})

    def right(i: Arrays) -> Arrays:
        if i["x"].shape[1] < 2:
            raise ValueError("two of fewer")
        order = np.argsort(-i["x"], axis=1, kind="stable")[:, :2]
        return {"v": np.take_along_axis(i["x"], order, 1), "i": order}

    return made, right, ONE


def embedding_by_ids() -> Any:
    table = floats(50, 3)
    nodes = [("Gather", "table ids", "y", {"axis": 0})]
    made = graph({"ids": (INT64, ["b", "t"])}, {"y": (FLOAT, ["b", "t", 3])}, nodes, {"table": table})
    random = np.random.default_rng(0)
    return made, lambda i: {"y": table[i["ids"]]}, [{"ids": random.integers(0, 50, (1, 7))} for _ in range(3)]


def messages_between_places() -> Any:
    ports = {"x": (FLOAT, ["n", 3]), "source": (INT64, ["e"])}
    nodes = [("Gather", "x source", "y", {"axis": 0})]
    steps = [{"x": floats(9, 3, seed=s), "source": np.arange(12) % 9} for s in range(2)]
    return graph(ports, {"y": (FLOAT, ["e", 3])}, nodes), lambda i: {"y": i["x"][i["source"]]}, steps


SOUND = [
    recurrent,
    lstm_with_lengths,
    attention_with_a_mask,
    convolution_with_a_stride,
    largest_two,
    embedding_by_ids,
    messages_between_places,
]


@pytest.mark.parametrize("sound", SOUND, ids=lambda made: made.__name__)
def test_a_sound_graph_passes_at_every_size_that_its_reference_takes(sound: Any, tmp_path: Path):
    made, right, steps = sound()
    told = of_graph(tmp_path, right, made, steps)
    assert told.compared
    assert not told.failed, told.notes("off_at_other_sizes") + told.notes("traced_length")


def test_what_was_varied_is_said(tmp_path: Path):
    made, right, steps = lstm_with_lengths()
    told = of_graph(tmp_path, right, made, steps)
    assert told.notes("other_sizes") == [
        (
            "at 9 other sizes (b 1, 3, 4, 17; t 2, 6, 10, 41; several axes at once), with ragged n,"
            " each row as it is alone"
        )
    ]


def test_a_failure_says_where(tmp_path: Path):
    made, right, steps = first_row_for_all()
    told = of_graph(tmp_path, right, made, steps)
    assert told.notes("off_at_other_sizes")[0].startswith("off at b=2 (traced at 1); b=3 (traced at 1)")


def test_lengths_that_the_contract_masks_out_do_not_count(tmp_path: Path):
    """Beyond the valid length the candidate writes ones, and the contract says that nobody reads them."""
    contract = Contract.model_validate(
        {
            "inputs": {"x": {"shape": ["B", "T"]}, "n": {"dtype": "int64", "shape": ["B"]}},
            "outputs": {"y": {"shape": ["B", "T"], "valid_length": {"tensor": "n", "axis": 1}}},
        }
    )
    steps = [{"x": floats(2, 6, seed=s), "n": np.array([6, 6])} for s in range(2)]

    def padded_with(fill: float) -> Function:
        def call(i: Arrays) -> Arrays:
            valid = np.arange(i["x"].shape[1]) < i["n"][:, None]
            return {"y": np.where(valid, i["x"], np.float32(fill))}

        return call

    axes = {"x": {0: "b", 1: "t"}, "n": {0: "b"}}
    right, other = padded_with(0), Calls(padded_with(1))
    assert not asked(tmp_path, right, other, axes, steps, contract).failed
    assert asked(tmp_path, right, other, axes, steps).failed


def test_a_reference_whose_rows_depend_on_each_other_accuses_nobody(tmp_path: Path):
    def batch_norm(i: Arrays) -> Arrays:
        return {"y": i["x"] - i["x"].mean(0)}

    told = asked(tmp_path, batch_norm, Calls(batch_norm), {"x": {0: "b"}}, [{"x": floats(2, 3)}])
    assert not told.failed
    assert "rows of a batch are not independent" in told.notes("rows_not_independent")[0]


def test_an_axis_that_the_reference_takes_at_one_size_only_is_said(tmp_path: Path):
    told = asked(tmp_path, flattened, Calls(flattened), {"x": {1: "t"}}, ONE)
    assert told.notes("axis_tried_once")[0].startswith("'t' is open, and 4 is the only size that was tried")


def test_an_axis_that_the_graph_names_twice_is_tried_as_one(tmp_path: Path):
    def added(i: Arrays) -> Arrays:
        if i["a"].shape != i["b"].shape:
            raise ValueError("as long as each other")
        return {"y": i["a"] + i["b"]}

    def short(i: Arrays) -> Arrays:
        return {"y": added(i)["y"] + (i["a"].size != 5)}

    steps = [{"a": floats(5, seed=s), "b": floats(5, seed=9 + s)} for s in range(2)]
    assert asked(tmp_path, added, Calls(short), {"a": {0: "a.0"}, "b": {0: "b.0"}}, steps).failed


@st.composite
def row_wise(draw: Any) -> tuple[Function, list[Arrays]]:
    """A random network over rows of [B, T, D], and steps of it."""
    seed, width = draw(st.integers(0, 99)), draw(st.integers(1, 4))
    batch, time = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    weights, ending = floats(width, 3, seed=seed), draw(st.sampled_from(["mean", "last", "softmax", "none"]))

    def call(i: Arrays) -> Arrays:
        y = np.tanh(i["x"] @ weights)
        ends = {"mean": y.mean(1), "last": y[:, -1], "softmax": softmax(y, 1), "none": y}
        return {"y": ends[ending].astype(np.float32)}

    return call, [{"x": floats(batch, time, width, seed=seed + s)} for s in range(draw(st.integers(1, 3)))]


MIXES: dict[str, Callable[[Any], Any]] = {
    "first": lambda y: np.broadcast_to(y[:1], y.shape),
    "mean": lambda y: np.broadcast_to(y.mean(0, keepdims=True), y.shape),
    "reversed": lambda y: y[::-1],
    "rolled": lambda y: np.roll(y, 1, 0),
    "largest": lambda y: np.broadcast_to(y.max(0, keepdims=True), y.shape),
}


@settings(deadline=None, max_examples=25)
@given(row_wise(), st.sampled_from([*MIXES]))
def test_rows_that_are_mixed_up_never_pass_and_rows_that_are_not_always_do(
    tmp_path_factory: Any, model: tuple[Function, list[Arrays]], mix: str
):
    right, steps = model
    axes, folder = {"x": {0: "b", 1: "t"}}, tmp_path_factory.mktemp("mixed")
    assert not asked(folder, right, Calls(right), axes, steps).failed
    wrong = Calls(lambda i: {"y": np.array(MIXES[mix](right(i)["y"]))})
    assert asked(folder, right, wrong, axes, steps).failed


def names_of(events: list[Any]) -> Iterator[str]:
    return (type(event).__name__ for event in events)


def test_artifacts_with_the_same_open_axes_share_what_was_recorded(tmp_path: Path):
    calls = []

    def right(i: Arrays) -> Arrays:
        calls.append(1)
        return {"y": i["x"] * 2}

    told, session = Told(), Calls(right)
    recorded = golden.write(tmp_path, "recorded", {}, [(step, session.infer(step)) for step in ONE])
    job: Any = Job(str(tmp_path), {"w": "recorded"})
    events: Any = told
    original: Any = session
    recorder = Recorder(job, events, original, Contract())
    recorder.record({"variant": "a", "workload": "w"}, recorded, {"x": {0: "b"}})
    before = len(calls)
    recorder.record({"variant": "b", "workload": "w"}, recorded, {"x": {0: "b"}})
    assert len(calls) == before
    assert [*names_of(told.events)] == ["LengthsRecorded"] * 2
