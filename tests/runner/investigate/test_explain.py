"""`assay explain` on recorded runs: the step that failed, the chain from the model as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import assay, once

MODULE = """
import numpy as np, torch
from onnx import TensorProto as T, helper as h, numpy_helper as nh


class Kept(torch.nn.Module):
    def forward(self, x):
        return torch.nonzero(x > 0.8)[:, 0]


def kept():
    return Kept()


def strict():
    nodes = [h.make_node("GreaterOrEqual", ["x", "limit"], ["keep"], "compare"),
             h.make_node("NonZero", ["keep"], ["places"], "find"),
             h.make_node("Squeeze", ["places", "first"], ["index"], "flat")]
    graph = h.make_graph(nodes, "g", [h.make_tensor_value_info("x", T.FLOAT, ["n"])],
                         [h.make_tensor_value_info("index", T.INT64, ["k"])],
                         [nh.from_array(np.float32(0.8), "limit"), nh.from_array(np.array([0]), "first")])
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)


def scores(seed, batches):
    random = np.random.default_rng(seed)
    for step in range(batches):
        x = random.random(30).astype(np.float32)
        if step == 1:
            x[4] = np.float32(0.8)
        yield {"x": x}


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))


def rows(seed, batches):
    random = np.random.default_rng(seed)
    for _ in range(batches):
        yield {"input": random.standard_normal((3, 16)).astype(np.float32)}
"""
SUITE = """
name = "why"
[model.strict]
pytorch = "m.py:kept"
onnx = "m.py:strict"
outputs = ["index"]
version = "v1"
[model.net]
pytorch = "m.py:net"
outputs = ["y"]
version = "v1"
[variant.dyn]
recipe = "torch-dynamic"
[workload.scores]
generator = "m.py:scores"
batches = 3
[workload.rows]
generator = "m.py:rows"
batches = 2
[[case]]
check = "parity"
models = ["strict"]
backends = ["onnxruntime"]
workloads = ["scores"]
[[case]]
check = "parity"
models = ["net"]
variants = ["dyn"]
backends = ["pytorch"]
workloads = ["rows"]
tolerance = { atol = 1e-7, rtol = 0 }
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with books in which both cases failed."""

    def record(folder: Path) -> None:
        (folder / "m.py").write_text(MODULE)
        (folder / "why.toml").write_text(SUITE)
        done = assay("run", folder / "why.toml", db=folder / "assay.duckdb")
        assert done.code == 1, done.err

    return once(tmp_path_factory, "why", record)[0]


def explained(run: Path, case: str, out: Path) -> dict[str, Any]:
    arguments = ("--suite", run / "why.toml", "--out", out, "--json")
    done = assay("explain", case, *arguments, db=run / "assay.duckdb")
    assert done.code == 0, done.err
    return done.document


def test_the_step_whose_output_had_another_shape_is_walked_and_its_node_named(run: Path, tmp_path: Path):
    document = explained(run, "strict/fp32/onnxruntime/scores/parity", tmp_path)
    assert document["step"] == 1
    assert document["suspect"]["node"] == "compare"
    assert document["reproduction"]


def test_the_chain_of_a_variant_without_a_file_begins_at_the_model_as_it_is(run: Path, tmp_path: Path):
    document = explained(run, "net/dyn/pytorch/rows/parity", tmp_path)
    edges = {(edge["edge_from"], edge["edge_to"]): edge["share"] for edge in document["blame"]}
    assert edges["exported program", "as shipped (pytorch)"] > 0.99
    assert all(edge["problem"] is None for edge in document["blame"])
