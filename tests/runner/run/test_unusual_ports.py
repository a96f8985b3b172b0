"""Whole runs of models whose ports are no plain tensors: labels in text, maps, nested outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import assay

LABELS = '''
import numpy as np
from onnx import TensorProto as T, helper as h

def classifier(sign=1.0):
    """Labels in text, and a map of scores for each row, as scikit-learn's converter writes them."""
    weights = sign * np.random.default_rng(0).standard_normal((3, 4))
    names = dict(classlabels_strings=["cat", "dog", "owl"])
    nodes = [
        h.make_node("LinearClassifier", ["x"], ["label", "p"], domain="ai.onnx.ml", coefficients=weights.ravel().tolist(),
                    intercepts=[0.0, 0.1, -0.1], multi_class=0, post_transform="SOFTMAX", **names),
        h.make_node("ZipMap", ["p"], ["scores"], domain="ai.onnx.ml", **names),
    ]
    rows = h.make_sequence_type_proto(h.make_map_type_proto(T.STRING, h.make_tensor_type_proto(T.FLOAT, [])))
    outputs = [h.make_tensor_value_info("label", T.STRING, ["n"]), h.make_value_info("scores", rows)]
    graph = h.make_graph(nodes, "labels", [h.make_tensor_value_info("x", T.FLOAT, ["n", 4])], outputs)
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 17), h.make_opsetid("ai.onnx.ml", 2)], ir_version=8)
'''

SUITE = """
name = "labels"
[model.classifier]
onnx = "m.py:classifier"
onnx_options = {{ sign = {sign} }}
version = "{version}"
[workload.rows]
inputs = {{ x = {{ shape = [5, 4] }} }}
batches = 2
[[case]]
check = "consistency"
models = ["classifier"]
backends = ["onnxruntime"]
workloads = ["rows"]
[[case]]
check = "parity"
models = ["classifier"]
backends = ["onnxruntime"]
workloads = ["rows"]
golden = "kept"
"""


def test_labels_in_text_and_maps_are_recorded_run_and_compared_exactly(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "m.py").write_text(LABELS)
    suite, db = tmp_path / "s.toml", tmp_path / "assay.duckdb"
    suite.write_text(SUITE.format(sign=1.0, version="v1"))
    done = assay("golden", "record", suite, "--model", "classifier", "--workload", "rows", "--name", "kept", db=db)
    assert done.code == 0, done.err
    done = assay("run", suite, "--only", "*consistency*", "--json", db=db)
    (case,) = done.document["cases"]
    assert (case["status"], {v["outcome"] for v in case["verdicts"]}) == ("ok", {"pass"})
    assert {v["name"] for v in case["verdicts"]} == {"label", "scores.cat", "scores.dog", "scores.owl"}
    suite.write_text(SUITE.format(sign=-1.0, version="v2"))
    done = assay("run", suite, "--only", "*parity*", "--json", db=db)
    assert done.code == 1
    (case,) = done.document["cases"]
    told = next(v for v in case["verdicts"] if (v["subject"], v["name"]) == ("parity", "label"))
    assert told["outcome"] == "fail"
    assert "texts" in told["reason"]


NESTED = """
from torch import nn

class Nested(nn.Module):
    def forward(self, x, mask=None, scale: float = 2.0):
        y = x * scale
        return {"logits": y, "hidden": (y + 1, y + 2), "extra": None}

def make():
    return Nested()
"""


def test_nested_outputs_are_compared_by_name_and_what_is_no_tensor_is_said(tmp_path: Path):
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    (tmp_path / "m.py").write_text(NESTED)
    (tmp_path / "s.toml").write_text(
        'name = "nested"\n[model.m]\npytorch = "m.py:make"\nversion = "1"\n'
        "[workload.w]\ninputs = { x = { shape = [2, 3] } }\nbatches = 2\n"
        '[[case]]\ncheck = "parity"\nmodels = ["m"]\nbackends = ["onnxruntime"]\nworkloads = ["w"]\n'
    )
    done = assay("run", tmp_path / "s.toml", "--json", db=tmp_path / "assay.duckdb")
    assert done.code == 0, done.err
    (case,) = done.document["cases"]
    parity = {v["name"]: v["outcome"] for v in case["verdicts"] if v["subject"] == "parity"}
    assert parity == {"logits": "pass", "hidden.0": "pass", "hidden.1": "pass"}
    assert any("gives 'extra' (None), which is no tensor" in f["message"] for f in case["findings"])


@pytest.mark.parametrize(
    ("expected", "actual", "outcome"),
    [
        (np.array(["cat", "dog"]), np.array(["cat", "dog"]), "pass"),
        (np.array(["cat", "dog"]), np.array(["cat", "cow"]), "fail"),
        (np.array([1 + 1j, 2]), np.array([1 + 1j, 2]), "pass"),
        (np.array([1 + 1j, 2]), np.array([1 - 1j, 2]), "fail"),
        (np.array([1 + 1j, 2]), np.array([[1.0, 1.0], [2.0, 0.0]]), "pass"),
        (np.array([True, False]), np.array([True, False]), "pass"),
        (np.array([True, False]), np.array([True, True]), "fail"),
    ],
)
def test_diff_compares_text_complex_numbers_and_masks(
    tmp_path: Path, expected: np.ndarray, actual: np.ndarray, outcome: str
):
    np.savez(tmp_path / "a.npz", x=expected)
    np.savez(tmp_path / "b.npz", x=actual)
    done = assay("diff", tmp_path / "a.npz", tmp_path / "b.npz")
    assert done.code == (0 if outcome == "pass" else 1), done.out
    assert outcome in done.out
