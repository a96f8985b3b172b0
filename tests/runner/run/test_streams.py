"""Streams through the real command line.

Known faults, contracts, waivers, policies over history, goldens of elsewhere.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from assay.runner.models import faults, streaming_encoder
from assay.runner.rules.contract import parse_contract, to_toml
from assay.schema.queries import base
from assay.schema.queries import runs as run_queries
from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import Done, assay, once

pytestmark = pytest.mark.slow


def ask(db: Path, sql: str) -> list[tuple[Any, ...]]:
    published = snapshot(Store(db))
    assert published is not None
    connection = duckdb.connect(str(published), read_only=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def known_faults(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def record(folder: Path) -> list[Any]:
        done = assay("run", "known-faults", "--json", db=folder / "assay.duckdb")
        return [done.code, done.out, done.err]

    folder, done = once(tmp_path_factory, "faults", record)
    return folder / "assay.duckdb", Done(*done)


def test_every_known_fault_is_caught_for_what_it_is(known_faults: Any):
    _, done = known_faults
    assert done.code == 0, done.err
    cases = {case["case"]: case for case in done.document["cases"]}
    assert len(cases) == 13
    for name, case in cases.items():
        expectation = [v for v in case["verdicts"] if v["subject"] == "expectation"]
        passed = all(v["outcome"] == "pass" for v in expectation or case["verdicts"])
        assert passed, (name, case["verdicts"], case["error"])


def test_a_bias_that_passes_functional_on_every_output_fails_closed_loop(known_faults: Any):
    cases = {case["case"]: case for case in known_faults[1].document["cases"]}
    functional = cases["encoder_state_bias/fp32/onnxruntime/stream/parity"]
    closed = cases["encoder_state_bias/fp32/onnxruntime/stream/closed_loop"]
    assert {v["outcome"] for v in functional["verdicts"]} == {"pass"}
    assert {v["name"] for v in closed["verdicts"] if v["outcome"] == "fail"} >= {"encoder_output"}


def test_an_error_that_goes_nowhere_is_reported_as_exactly_that(known_faults: Any):
    db, done = known_faults
    case = next(
        c for c in done.document["cases"] if c["case"] == "encoder_isolated/fp32/onnxruntime/stream/closed_loop"
    )
    failing = [v for v in case["verdicts"] if v["outcome"] == "fail"]
    assert {v["name"] for v in failing} == {"cache_last_time_out"}  # over the stream, and with ragged lengths
    assert "does not propagate" in next(v["reason"] for v in failing if v["subject"] == "parity")
    dead = ask(db, "select distinct subject from finding where kind = 'dead_state'")
    assert ("cache_last_time_out",) in dead


def test_rounding_and_a_fault_are_told_apart_by_their_size(known_faults: Any):
    kinds = ask(
        known_faults[0],
        "select c.model, f.kind from finding f join case_result c using (case_id) where f.kind like '%rounding%'",
    )
    assert ("encoder", "rounding_sized") in kinds
    assert ("encoder_norm", "beyond_rounding") in kinds
    assert ("encoder", "beyond_rounding") not in kinds


def test_a_fault_that_is_no_longer_caught_fails_the_run(tmp_path: Path):
    suite = tmp_path / "fixed.toml"
    suite.write_text("""
name = "fixed"
[model.line]
fake = { gain = 2.0 }
[workload.noise]
inputs = { x = { shape = [4, 5] } }
batches = 3
[backend.right]
kind = "fake"
[backend.candidate]
kind = "fake"
[[case]]
check = "parity"
models = ["line"]
backends = ["candidate"]
workloads = ["noise"]
reference = "right"
expect = "fail"
""")
    done = assay("run", suite, db=tmp_path / "assay.duckdb")
    assert done.code == 1
    assert "was not caught" in done.err + done.out


def encode(array: Any) -> dict[str, Any]:
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "data_b64": base64.b64encode(np.asarray(array, order="C").tobytes()).decode(),
    }


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a team has in its folder: a reference file of 20 chunks, a contract, and an export with a wrong cache."""
    import onnx
    import torch

    folder = tmp_path_factory.mktemp("isolated")
    contract = parse_contract(streaming_encoder.contract(isolated=True))
    (folder / "encoder.contract.toml").write_text(to_toml(contract))
    module = streaming_encoder.module(isolated=True).eval()
    states: dict[str, Any] = {}
    with (folder / "reference.jsonl").open("w") as file:
        for chunk in streaming_encoder.features(42, 20):
            states = states or contract.initial_states(chunk)
            inputs = {**chunk, **states}
            with torch.inference_mode():
                made = module(**{name: torch.from_numpy(array.copy()) for name, array in inputs.items()})
            outputs = {name: tensor.numpy() for name, tensor in zip(streaming_encoder.OUTPUTS, made, strict=True)}
            file.write(
                json.dumps(
                    {
                        "inputs": {n: encode(a) for n, a in inputs.items()},
                        "outputs": {n: encode(a) for n, a in outputs.items()},
                    }
                )
                + "\n"
            )
            states = {state.input: outputs[state.output] for state in contract.state}
    onnx.save(faults.streaming_encoder(isolated=True, fault="time_bias", amount=0.05), folder / "encoder.onnx")
    db = folder / "assay.duckdb"
    assert assay("golden", "import", folder / "reference.jsonl", "--name", "ref-20", db=db).code == 0
    return folder


def parity(folder: Path, *options: object) -> Any:
    return assay(
        "parity",
        folder / "encoder.onnx",
        "--golden",
        "ref-20",
        "--contract",
        folder / "encoder.contract.toml",
        *options,
        db=folder / "assay.duckdb",
    )


def verdict(document: Any, output: str) -> Any:
    return next(v for v in document["cases"][0]["verdicts"] if (v["subject"], v["name"]) == ("parity", output))


def test_one_file_is_compared_with_a_golden_without_a_suite(isolated: Path, tmp_path: Path):
    summary = tmp_path / "summary.json"
    done = parity(
        isolated,
        "--mode",
        "functional",
        "--mode",
        "closed_loop",
        "--summary-json",
        summary,
        "--dump-dir",
        tmp_path / "dump",
        "--json",
    )
    assert done.code == 1
    assert [case["case"] for case in done.document["cases"]] == [
        f"encoder/fp32/onnxruntime/ref-20/{word}" for word in ("parity", "closed_loop")
    ]
    written = json.loads(summary.read_text())["cases"][1]
    assert (written["mode"], written["total_chunks"], written["failed_chunks"]) == ("closed_loop", 20, 20)
    assert written["outputs"]["encoder_output"]["pass_rate"] == 1.0
    assert written["outputs"]["cache_last_channel_out"]["elements_compared"] == 0
    assert written["outputs"]["cache_last_time_out"]["max_abs"] == pytest.approx(0.05, rel=1e-3)
    assert len(list((tmp_path / "dump").rglob("*.npz"))) == 40


def test_the_perfect_cache_of_zero_elements_is_vacuous(isolated: Path):
    found = verdict(parity(isolated, "--json").document, "cache_last_channel_out")
    assert found["outcome"] == "vacuous"
    assert "masked out" in found["reason"]


def test_max_steps_and_a_sweep_of_padding_sides_make_their_cases(isolated: Path):
    done = parity(isolated, "--mode", "closed_loop", "--pad-side", "sweep", "--max-steps", 5, "--json")
    assert [case["case"].rpartition("/")[2] for case in done.document["cases"]] == [
        "closed_loop-pad-left",
        "closed_loop-pad-right",
    ]
    assert {
        r["elements"]
        for case in done.document["cases"]
        for r in case["receipts"]
        if r["output"] == "encoder_output" and "mode" not in r
    } == {5 * 128}


def test_a_waiver_turns_the_failure_into_waived_until_its_premise_limit_or_owner_ends_it(isolated: Path):
    db = isolated / "assay.duckdb"
    granted = assay(
        "waive", "encoder/*", "--output", "cache_last_time_out", "--premise", "cache_last_channel_len_out == 0", "--owner", "mira",
        "--reason", "chunks stand alone", "--until", "2099-01-01", "--max-abs", "0.1", "--json", db=db,
    )  # fmt: skip
    assert granted.code == 0, granted.err
    waiver = granted.document["waiver"]
    found = verdict(parity(isolated, "--json").document, "cache_last_time_out")
    assert found["outcome"] == "waived"
    assert waiver in found["reason"]
    assert ask(db, f"select count(*) from verdict where waiver_id = '{waiver}'") == [(1,)]
    assert [w["state"] for w in assay("list", "waivers", "--json", db=db).document] == ["in force"]

    narrower = [
        "--output",
        "cache_last_time_out",
        "--premise",
        "cache_last_channel_len_out == 0",
        "--owner",
        "mira",
        "--reason",
        "x",
        "--until",
        "2099-01-01",
    ]
    assert assay("waive", "encoder/*", *narrower, "--max-abs", "0.01", db=db).code == 0
    found = verdict(parity(isolated, "--json").document, "cache_last_time_out")
    assert (found["outcome"], "beyond the waived 0.01" in found["reason"]) == ("fail", True)

    assert assay("unwaive", waiver, "--owner", "mira", "--reason", "enough", db=db).code == 0
    broken = [*narrower[:2], "--premise", "cache_last_channel_len_out == 1", *narrower[4:]]
    assert assay("waive", "encoder/*", *broken, db=db).code == 0
    found = verdict(parity(isolated, "--json").document, "cache_last_time_out")
    assert found["outcome"] == "fail"
    assert (
        "does not help: its premise (cache_last_channel_len_out == 1) broke at step 0: cache_last_channel_len_out = [0]"
        in found["reason"]
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--premise", "1 == 1"], "reads no array"),
        (["--premise", "x ="], "no expression"),
        (["--until", "2020-01-01"], "is past"),
        (["--until", "soon"], "is a date"),
        (["--owner", " "], "--owner is empty"),
    ],
)
def test_a_waiver_that_means_nothing_is_refused(options: list[str], words: str, tmp_path: Path):
    sound = {"--output": "y", "--premise": "x == 0", "--owner": "m", "--reason": "r", "--until": "2099-01-01"}
    sound |= dict(zip(options[::2], options[1::2], strict=True))
    done = assay("waive", "case", *[part for pair in sound.items() for part in pair], db=tmp_path / "assay.duckdb")
    assert (done.code, words in done.err) == (2, True)


def test_history_is_judged_again_and_the_old_verdicts_are_kept(tmp_path: Path):
    from tests.conftest import fake_suite

    db = tmp_path / "assay.duckdb"
    assert assay("run", fake_suite(tmp_path, "offset = 0.01"), db=db).code == 1
    looser = tmp_path / "looser.toml"
    looser.write_text("atol = 0.1\nrtol = 0.0\n")
    tried = assay("policy", "try", looser, "--json", db=db)
    assert [(c["was"], c["becomes"]) for c in tried.document["changed"]] == [("fail", "pass")]
    assert ask(db, "select count(*) from verdict where subject = 'parity'") == [(1,)]
    assert assay("policy", "apply", looser, db=db).code == 0
    assert ask(db, "select outcome from verdict where subject = 'parity' order by judged_at") == [("fail",), ("pass",)]
    assert ask(db, "select outcome from current_verdict where subject = 'parity'") == [("pass",)]
    with reading(snapshot(Store(db)) or Path()) as connection:
        (run,) = run_queries.runs(connection, base.Filters())
    assert (run["failed"], run["passed"]) == (0, 2)
    assert assay("policy", "try", looser, "--json", db=db).document["changed"] == []
    assert assay("policy", "try", looser, "--case", "nothing-like-it", db=db).code == 4


def test_a_wrong_policy_file_names_the_key(tmp_path: Path):
    (tmp_path / "wrong.toml").write_text("atoll = 1.0\n")
    done = assay("policy", "try", tmp_path / "wrong.toml", db=tmp_path / "assay.duckdb")
    assert done.code == 2
    assert "wrong.toml, key 'atoll'" in done.err
    assert "atol" in done.err.replace("atoll", "")


def test_a_golden_of_another_generation_of_the_model_is_named_as_that(tmp_path: Path):
    db = tmp_path / "assay.duckdb"
    recorded = assay(
        "golden",
        "record",
        "quickstart",
        "--model",
        "digits",
        "--workload",
        "handwriting",
        "--version",
        "v1",
        "--name",
        "digits-v1",
        db=db,
    )
    assert recorded.code == 0, recorded.err
    suite = tmp_path / "golden.toml"
    suite.write_text("""
name = "generations"
[model.digits]
pytorch = "assay.runner.models.digits:trained"
outputs = ["logits"]
export = { dynamic = { image = { 0 = "batch" } } }
[model.digits.versions]
v1 = { options = { width = 12, epochs = 6 } }
v2 = { options = { width = 16, epochs = 10 } }
[[case]]
check = "parity"
models = ["digits"]
golden = "digits-v1"
""")
    right = assay("run", suite, "--version", "digits=v1", "--json", db=db)
    assert right.code == 0, right.err
    wrong = assay("run", suite, "--version", "digits=v2", "--json", db=db)
    assert wrong.code == 1
    assert "is of another generation" in json.dumps(wrong.document["cases"][0]["verdicts"])


def test_explain_names_the_operator_records_it_and_reproduces_it(tmp_path: Path):
    import subprocess
    import sys

    db = tmp_path / "assay.duckdb"
    assert (
        assay("run", "quickstart", "--only", "scaling*recording/parity", "--version", "scaling=rounded", db=db).code
        == 1
    )
    done = assay("explain", "scaling", "--out", tmp_path / "explained", "--json", db=db)
    assert done.code == 0, done.err
    assert "aten.quantile" in done.document["suspect"]["reference_node"]
    assert "interpolate" in done.document["suspect"]["hint"]
    operators = {
        entry["reference_node"].split()[0] for entry in done.document["entries"] if (entry["local_rel_l2"] or 0) > 1e-3
    }
    assert operators == {"aten.quantile", "aten.median"}
    worst = max(
        (edge for edge in done.document["blame"] if edge["output"] == "scaling"), key=lambda edge: edge["share"] or 0
    )
    assert (worst["edge_from"], worst["edge_to"]) == ("exported program", "ONNX unoptimized")
    alone = subprocess.run(
        [sys.executable, "reproduce.py"], cwd=done.document["reproduction"], capture_output=True, text=True, check=False
    )
    assert alone.returncode == 1
    assert ask(db, "select count(*) from divergence where suspect") == [(1,)]
    assert ask(db, "select count(*) > 4 from blame") == [(True,)]
    assert ask(db, "select count(*) from finding where kind = 'first_divergence'") == [(1,)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing-like-it"], "is no parity case"),
        (["candidate", "--step", "99"], "steps 0 to 2"),
        (["candidate", "--max-memory", "lots"], "500MB"),
    ],
)
def test_explain_says_what_it_cannot_find(arguments: list[str], words: str, tmp_path: Path):
    from tests.conftest import fake_suite

    db = tmp_path / "assay.duckdb"
    assay("run", fake_suite(tmp_path, "offset = 0.01"), db=db)
    done = assay("explain", *arguments, db=db)
    assert (done.code, words in done.err) == (2, True), done.err


def test_a_model_without_a_graph_is_explained_as_such(tmp_path: Path):
    from tests.conftest import fake_suite

    db = tmp_path / "assay.duckdb"
    assay("run", fake_suite(tmp_path, "offset = 0.01"), db=db)
    done = assay("explain", "candidate", db=db)
    assert done.code == 0, done.err
    assert "no ONNX file" in done.out


def test_a_contract_is_started_from_a_file_and_checked_against_it_and_its_golden(isolated: Path, tmp_path: Path):
    out = tmp_path / "new.contract.toml"
    assert assay("contract", "init", isolated / "encoder.onnx", "--out", out).code == 0
    assert '[[state]]\noutput = "cache_last_channel_out"\ninput = "cache_last_channel"' in out.read_text()
    assert assay("contract", "check", out, "--model", isolated / "encoder.onnx").code == 0
    assert (
        assay(
            "contract", "check", isolated / "encoder.contract.toml", "--golden", "ref-20", db=isolated / "assay.duckdb"
        ).code
        == 0
    )
    out.write_text(
        out.read_text()
        .replace('dtype = "int64"', 'dtype = "int32"')
        .replace("shape = [2, 1, 16, 32]", "shape = [2, 1, 17, 32]")
    )
    wrong = assay("contract", "check", out, "--model", isolated / "encoder.onnx", "--json")
    assert wrong.code == 1
    assert any("is int64 in the model, int32 in the contract" in problem for problem in wrong.document["problems"])
    assert any("17" in problem for problem in wrong.document["problems"])
    assert assay("contract", "init", isolated / "encoder.onnx", "--out", out).code == 2


def test_streams_of_three_kinds_pass_functional_and_closed_loop(tmp_path: Path):
    db = tmp_path / "assay.duckdb"
    done = assay("run", "streaming", "--max-steps", "120", "--json", db=db)
    assert done.code == 0, done.out[-2000:] + done.err[-2000:]
    assert {case["status"] for case in done.document["cases"]} == {"ok"}
    steps = dict(ask(db, "select c.name, count(*) from stream_step s join case_result c using (case_id) group by all"))
    assert steps["streaming_encoder/fp32/onnxruntime/noise/closed_loop"] == 120
    assert ask(
        db,
        "select bool_and(resynced) from stream_step s join case_result c using (case_id) where c.mode = 'functional'",
    ) == [(True,)]
    fresh = ask(
        db,
        "select list(step order by step) from stream_step s join case_result c using (case_id) where c.mode ="
        " 'mixed-25' and resynced",
    )
    assert fresh == [([0, 25, 50, 75, 100],)]
    live = ask(db, "select count(*) from finding where kind in ('lost_state', 'dead_state')")
    assert live == [(0,)]
    assert ask(db, "select count(distinct output) from noise where source = 'advice'") == [(3,)]


@pytest.mark.parametrize("check", ['"parity"', '"consistency"', '["parity", "consistency"]'])
def test_a_model_that_is_nan_on_both_sides_is_judged_and_ends_no_run(check: str, tmp_path: Path):
    from tests.conftest import fake_suite

    suite = fake_suite(tmp_path, "", check=check)
    suite.write_text(suite.read_text().replace("fake = { gain = 2.0 }", 'fake = { gain = 2.0, fault = "nan" }'))
    done = assay("run", suite, "--json", db=tmp_path / "assay.duckdb")
    assert done.code in (1, 4), done.err
    assert "Traceback" not in done.err
    assert len(done.document["cases"]) == check.count('"') // 2


def test_a_candidate_that_is_nan_in_the_middle_of_a_stream_fails_there_and_is_explained(isolated: Path, tmp_path: Path):
    import onnx
    from onnx import numpy_helper

    model = onnx.load(isolated / "encoder.onnx")
    bias = next(t for t in model.graph.initializer if t.name == "layers.1.norm.bias")
    values = numpy_helper.to_array(bias).copy()
    values[0] = np.nan
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    onnx.save(model, tmp_path / "nan.onnx")
    db = isolated / "assay.duckdb"
    done = assay(
        "parity",
        tmp_path / "nan.onnx",
        "--golden",
        "ref-20",
        "--contract",
        isolated / "encoder.contract.toml",
        "--mode",
        "closed_loop",
        "--json",
        db=db,
    )
    assert done.code == 1, done.err
    found = verdict(done.document, "encoder_output")
    assert found["outcome"] == "fail"
    assert "NaN" in found["reason"]
    (broken,) = [v for v in done.document["cases"][0]["verdicts"] if v["name"] == "finite(encoder_output)"]
    assert (broken["outcome"], "first at step 0" in broken["reason"]) == ("fail", True)


def test_a_golden_of_other_weights_is_suspected_even_without_the_original(isolated: Path, tmp_path: Path):
    import onnx

    module = streaming_encoder.module(seed=9, isolated=True).eval()
    chunk = next(streaming_encoder.features(0, 1))
    states = parse_contract(streaming_encoder.contract(isolated=True)).initial_states(chunk)
    onnx.save(
        faults.exported(module, {**chunk, **states}, streaming_encoder.OUTPUTS, {"audio_signal": {2: "T"}}),
        tmp_path / "encoder.onnx",
    )
    done = assay(
        "parity",
        tmp_path / "encoder.onnx",
        "--golden",
        "ref-20",
        "--contract",
        isolated / "encoder.contract.toml",
        "--json",
        db=isolated / "assay.duckdb",
    )
    assert done.code == 1
    assert [
        f["kind"]
        for f in done.document["cases"][0]["findings"]
        if f["severity"] == "warning" and "generation" in f["message"]
    ] == ["other_generation"]


def test_an_output_that_only_integers_of_one_batch_move_is_not_called_constant(tmp_path: Path):
    """There is no other step to take values from: they are permuted, and drawn from those seen."""
    (tmp_path / "model.py").write_text("""
import torch

class Embedding(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.nn.Embedding(16, 4)

    def forward(self, ids, unused):
        return self.table(ids) + 0.0 * unused.sum()

def network():
    return Embedding()
""")
    suite = tmp_path / "ids.toml"
    suite.write_text("""
name = "ids"
[model.embedding]
pytorch = "model.py:network"
[workload.one]
inputs = { ids = { shape = [2, 3], dtype = "int64", distribution = "integers", high = 16 }, unused = { shape = [2] } }
[[case]]
check = "parity"
models = ["embedding"]
workloads = ["one"]
""")
    done = assay("run", suite, "--json", db=tmp_path / "assay.duckdb")
    assert done.code == 0, done.out
