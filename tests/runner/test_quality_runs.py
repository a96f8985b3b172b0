"""Quality, ledgers and searches through the command line: what quantization costs, on a real network and real digits."""

import json

import pytest

from tests.conftest import assay

pytestmark = pytest.mark.slow

SUITE = """
name = "q"
[model.digits]
pytorch = "runner.models.digits:trained"
outputs = ["logits"]
export = { dynamic = { image = { 0 = "batch" } } }
[workload.test]
generator = "runner.models.digits:labelled_batches"
options = { size = 90 }
batches = 6
labels = ["label"]
task = { kind = "classification" }
[workload.calibration]
generator = "runner.models.digits:labelled_batches"
options = { size = 64, part = "train" }
batches = 4
labels = ["label"]
[workload.noise]
inputs = { image = { shape = [8, 1, 8, 8] } }
batches = 3
[workload.unlabelled]
generator = "runner.models.digits:test_batches"
options = { size = 4 }
[variant.minmax]
recipe = "onnxruntime-static"
calibration = "calibration"
options = { per_channel = true }
[variant.bad]
recipe = "onnxruntime-static"
calibration = "calibration"
options = { method = "distribution" }
[variant.random]
recipe = "onnxruntime-static"
calibration = "noise"
[variant.uncalibrated]
recipe = "onnxruntime-static"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("quality")


def run(folder, cases, *arguments):
    (folder / "q.toml").write_text(SUITE + cases)
    return assay("run", folder / "q.toml", "--json", *arguments, db=folder / "a.duckdb")


def figures(case):
    return {m["metric"]: m for m in case["measurements"]}


def test_what_is_lost_is_measured_with_an_interval_and_judged_by_it(folder):
    done = run(folder, """
[[case]]
check = "quality"
models = ["digits"]
workloads = ["test"]
variants = ["fp32", "minmax", "bad"]
policy = "general"
""")  # fmt: skip
    cases = {case["case"].split("/")[1]: case for case in done.document["cases"]}
    assert done.code == 1
    assert [cases[name]["verdicts"][0]["outcome"] for name in ("fp32", "minmax", "bad")] == ["pass", "pass", "fail"]
    float_, sound, bad = (figures(cases[name]) for name in ("fp32", "minmax", "bad"))
    assert float_["top1"]["value"] > 0.9
    assert float_["top1"]["n"] == 540
    assert float_["quality_drop_relative"]["value"] == 0
    assert sound["top5"]["value"] >= sound["top1"]["value"]
    assert bad["top1_drop"]["low"] > 0.05
    assert bad["mcnemar_p"]["value"] < 1e-6
    found = {finding["kind"]: finding["message"] for finding in cases["bad"]["findings"]}
    assert "quantization-aware training" in found["consider_qat"]


def test_labels_never_reach_the_model_and_a_workload_without_them_is_refused(folder):
    done = run(folder, """
[[case]]
check = "quality"
models = ["digits"]
workloads = ["unlabelled"]
""")  # fmt: skip
    assert done.document["cases"][0]["error"] == "the check 'quality' needs a workload with labels and a task."


def test_a_static_quantizer_without_data_refuses_to_make_some_up(folder):
    done = run(folder, """
[[case]]
check = "parity"
models = ["digits"]
workloads = ["test"]
variants = ["uncalibrated"]
""")  # fmt: skip
    assert "Nothing is made up in its place" in done.document["cases"][0]["error"]


def test_the_ledger_says_where_the_error_is_and_what_the_data_were(folder):
    done = run(folder, """
[[case]]
check = "ledger"
models = ["digits"]
workloads = ["test"]
variants = ["minmax", "random"]
tolerance = { limits = [{ metric = "weight_sqnr_db", min = 35 }] }
""")  # fmt: skip
    assert done.code == 0, done.err
    sound, random = done.document["cases"]
    assert 35 < figures(sound)["weight_sqnr_db"]["value"] < 60
    assert figures(sound)["quantized_bits_per_weight"]["value"] < 10
    kinds = {finding["kind"] for finding in random["findings"]}
    assert "random_calibration" in kinds
    assert "random_calibration" not in {finding["kind"] for finding in sound["findings"]}


def test_a_float_file_has_no_ledger_and_a_known_bad_codebook_is_caught_before_it_runs(folder):
    done = assay("run", "lut", "--only", "*inverse/*ledger", "--json", db=folder / "lut.duckdb")
    assert done.code == 0, done.err
    verdict = done.document["cases"][0]["verdicts"][0]
    assert verdict["outcome"] == "pass"
    assert verdict["reason"].startswith(
        "caught before it ran: codebook 'lut8-inverse' is unsound: its decoder is not monotone"
    )


def test_the_three_tests_of_lut8_pass(folder):
    done = assay("run", "lut", "--only", "*/lut8/*", "--json", db=folder / "lut.duckdb")
    cases = {case["case"]: case for case in done.document["cases"]}
    assert done.code == 0
    three = figures(cases["three_weights/lut8/onnxruntime/one/ledger"])
    projection = figures(cases["projection/lut8/onnxruntime/activations/ledger"])
    assert three["weight_max_abs"]["value"] <= 0.5 / 508
    assert projection["weight_mean_abs"]["value"] == pytest.approx(0.000098, abs=1e-6)
    # a code and a sign of eight bits each, as they are stored
    assert projection["quantized_bits_per_weight"]["value"] == pytest.approx(16, abs=0.01)


def test_a_search_finds_what_to_leave_in_float_and_goes_on_where_it_was(folder):
    (folder / "q.toml").write_text(SUITE + """
[[case]]
check = ["quality", "benchmark"]
models = ["digits"]
workloads = ["test"]
variants = ["fp32", "bad"]
""")  # fmt: skip
    asked = ("search", folder / "q.toml", "--model", "digits", "--variant", "bad", "--json")
    found = assay(*asked, "--budget", "5s", db=folder / "search.duckdb").document
    assert found["metric"] == "top1"
    assert found["tried"][0]["variant"] == "fp32"
    everything = found["tried"][1]
    assert (everything["origin"], everything["excluded"]) == ("quantize all", [])
    assert everything["drop_low"] > 0.05
    assert sum(trial["chosen"] for trial in found["tried"]) == 1
    assert all(node["alone_sqnr_db"] is not None for node in found["nodes"])
    again = assay(*asked, "--budget", "1s", "--resume", db=folder / "search.duckdb").document
    assert [t["value"] for t in again["tried"][:4]] == [t["value"] for t in found["tried"][:4]]
    assert again["spent_s"] < found["spent_s"]


@pytest.mark.parametrize(("arguments", "message"), [
    (("--model", "digit", "--variant", "bad"), "has no model 'digit'. Did you mean 'digits'?"),
    (("--model", "digits", "--variant", "bat"), "has no variant 'bat'. Did you mean 'bad'?"),
    (("--model", "digits", "--variant", "bad", "--budget", "soon"), "--budget is a time such as 90s"),
    (("--model", "digits", "--variant", "bad"), "has no quality case of 'digits'"),
])  # fmt: skip
def test_a_search_that_cannot_be_done_says_why(folder, arguments, message):
    (folder / "q.toml").write_text(SUITE + '[[case]]\ncheck = "benchmark"\nmodels = ["digits"]\nworkloads = ["test"]\n')
    done = assay("search", folder / "q.toml", *arguments, db=folder / "none.duckdb")
    assert done.code == 2
    assert message in done.err.replace("\n", " ")
    assert json.dumps(done.out) == '""'
