"""From the suite to the books: whole numbers are exact, and what a rule of the field accounted for is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tests.conftest import assay, once

MODULE = '''
"""Ranks with the last of equal scores first, which ONNX's TopK ranks last; and token ids of a large vocabulary."""
import numpy as np, torch
from onnx import TensorProto as T, helper as h, numpy_helper as nh

class Best(torch.nn.Module):
    def forward(self, x):
        order = x.shape[1] - 1 - torch.argsort(x.flip(1), dim=1, descending=True, stable=True)[:, :4]
        return torch.gather(x, 1, order), order, x.argmax(1) + 20000

def best(): return Best()

def graph():
    nodes = [h.make_node("TopK", ["x", "k"], ["scores", "indices"], axis=1), h.make_node("ArgMax", ["x"], ["top"], axis=1, keepdims=0),
             h.make_node("Add", ["top", "first"], ["token"])]
    given = [nh.from_array(np.array([4]), "k"), nh.from_array(np.array(20001), "first")]
    outputs = [h.make_tensor_value_info("scores", T.FLOAT, ["n", 4]), h.make_tensor_value_info("indices", T.INT64, ["n", 4]),
               h.make_tensor_value_info("token", T.INT64, ["n"])]
    made = h.make_graph(nodes, "g", [h.make_tensor_value_info("x", T.FLOAT, ["n", 9])], outputs, given)
    return h.make_model(made, opset_imports=[h.make_opsetid("", 17)], ir_version=8)

def scores(seed, batches):
    rows = np.array([[1, 5, 4, 0, 4, 3, 2, 1, 5], [0, 4, 5, 5, 1, 1, 3, 3, 2]], np.float32)
    for step in range(batches):  # 5, 5, 4, 4 are exchanged among themselves; 5, 5 and one of 3, 3 is cut off
        yield {"x": np.roll(rows, step, axis=1)}
'''

SUITE = """
name = "ranks"
[model.best]
pytorch = "m.py:best"
onnx = "m.py:graph"
outputs = ["scores", "indices", "token"]
version = "v1"
[workload.scores]
generator = "m.py:scores"
batches = 2
[[case]]
check = "parity"
models = ["best"]
workloads = ["scores"]
tolerance = { atol = 1.0, rtol = 0.1, outputs = { indices = { rule = "order", by = "BY" } } }
"""


def suite(folder: Path, by: str) -> Path:
    (folder / "m.py").write_text(MODULE)
    (folder / "ranks.toml").write_text(SUITE.replace("BY", by))
    return folder / "ranks.toml"


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Books with one run, in which the tokens are off by one and the ranks differ among equal scores."""

    def record(folder: Path) -> None:
        done = assay("run", suite(folder, "scores"), db=folder / "assay.duckdb")
        assert done.code == 1, done.err

    folder, _ = once(tmp_path_factory, "ranks", record)
    return folder / "assay.duckdb"


def recorded(db: Path) -> dict[str, dict]:
    """Receipts over all steps with their verdict, by output."""
    with duckdb.connect(str(db), read_only=True) as connection:
        sql = """select p.*, v.outcome, v.rule as words from parity p join verdict v on v.case_id = p.case_id
            and v.name = p.output and v.subject = 'parity' where p.step = -1 and p.mode = 'functional'"""
        return {row["output"]: row for row in connection.sql(sql).df().to_dict("records")}


def test_token_ids_off_by_one_fail_whatever_the_policy_allows_floats(ranks: Path):
    token = recorded(ranks)["token"]
    assert (token["outcome"], token["words"], token["violations"]) == ("fail", "exact", 4)
    assert (token["rule"], token["atol"], token["rtol"]) == ("exact", 0.0, 0.0)
    expected, actual = json.loads(token["worst_pair"])
    assert (expected, actual) == ("20001", "20002")


def test_ranks_that_differ_among_equal_scores_pass_and_the_receipt_says_how_many(ranks: Path):
    indices = recorded(ranks)["indices"]
    assert (indices["outcome"], indices["violations"], indices["elements"]) == ("pass", 0, 16)
    assert indices["rule"] == "order by scores, axis -1"
    assert indices["detail"] == (
        "14 of 16 indices differ: 12 among equal scores, 2 at the cut, with the score of the last one kept (unproven)"
    )


def test_what_was_not_recorded_is_not_judged_again(ranks: Path, tmp_path: Path):
    (tmp_path / "exact.policy.toml").write_text("atol = 1.0\n")
    done = assay("policy", "try", tmp_path / "exact.policy.toml", "--json", db=ranks)
    (changed,) = done.document["changed"]
    assert (changed["output"], changed["becomes"]) == ("indices", "unknown")
    assert "was made under 'order by scores, axis -1'" in changed["reason"]


def test_a_rule_that_goes_by_no_output_ends_the_case_and_names_the_nearest(tmp_path: Path):
    done = assay("run", suite(tmp_path, "score"), db=tmp_path / "assay.duckdb")
    assert done.code != 0
    assert "goes by 'score'" in done.err
    assert "Did you mean 'scores'?" in done.err
