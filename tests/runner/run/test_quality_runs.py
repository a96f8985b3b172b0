"""Quality, ledgers and searches through the command line.

What quantization costs, on a real network and real digits.
"""

import numpy as np
import onnx
import pytest

from tests.conftest import QUANTIZED, assay

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("quality")


def figures(case):
    return {m["metric"]: m for m in case["measurements"]}


def of(quantized, check):
    return {case["case"].split("/")[1]: case for case in quantized.run["cases"] if case["case"].endswith(check)}


def test_what_is_lost_is_measured_with_an_interval_and_judged_by_it(quantized):
    cases = of(quantized, "quality")
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


def test_the_ledger_says_where_the_error_is_and_what_the_data_were(quantized):
    cases = of(quantized, "ledger")
    assert set(cases) == {"minmax", "bad", "random"}
    sound, random = figures(cases["minmax"]), {finding["kind"] for finding in cases["random"]["findings"]}
    assert 35 < sound["weight_sqnr_db"]["value"] < 60
    assert sound["quantized_bits_per_weight"]["value"] < 10
    assert "random_calibration" in random
    assert "random_calibration" not in {finding["kind"] for finding in cases["minmax"]["findings"]}


def test_a_search_finds_what_to_leave_in_float(quantized):
    found = quantized.search
    assert found["metric"] == "top1"
    assert found["tried"][0]["variant"] == "fp32"
    everything = found["tried"][1]
    assert (everything["origin"], everything["excluded"]) == ("quantize all", [])
    assert everything["drop_low"] > 0.05
    assert sum(trial["chosen"] for trial in found["tried"]) == 1
    assert all(node["alone_sqnr_db"] is not None for node in found["nodes"])
    chosen = next(trial for trial in found["tried"] if trial["chosen"])
    assert chosen["drop_relative"] < everything["drop_relative"]
    assert sorted(found["excluded"]) == sorted(chosen["excluded"])


def test_the_doctor_names_the_causes_of_a_loss_with_their_evidence(quantized):
    told = assay("doctor", quantized.run["run"], "--json", db=quantized.db)
    assert told.code == 0, told.err
    fell = [d for d in told.document["diagnoses"] if d["problem"] == "accuracy fell"]
    assert {d["subject"].split("/")[1] for d in fell} >= {"bad"}
    mine = {d["because"]: d["evidence"] for d in fell if d["subject"].startswith("digits/bad/")}
    assert "not explained" not in mine
    assert "minmax loses" in mine["of the way of quantizing, not of the model"]
    assert "with the same calibration data" in mine["of the way of quantizing, not of the model"]


def test_a_report_has_the_same_diagnoses(quantized):
    text = assay("report", quantized.run["run"], db=quantized.db).out
    assert "## Diagnosis" in text
    assert "of the way of quantizing, not of the model" in text


def test_a_graph_carries_what_its_nodes_lose(quantized, folder):
    case = next(c["case"] for c in quantized.run["cases"] if c["case"].endswith("minmax/onnxruntime/test/ledger"))
    out = folder / "annotated.onnx"
    asked = ("graph", case, "--run", quantized.run["run"], "--out", out)
    done = assay(*asked, db=quantized.db)
    assert done.code == 0, done.err
    notes = {
        p.key: p.value
        for node in onnx.load(out).graph.node
        for p in node.metadata_props
        if p.key.startswith("assay: weight")
    }
    assert len(notes) >= 6
    assert all(" dB" in value and "bits" in value for value in notes.values())
    again = assay(*asked, db=quantized.db)
    assert again.code == 2
    assert "is there already" in again.err
    wrong = assay("graph", "no-such", "--run", quantized.run["run"], "--out", folder / "b.onnx", db=quantized.db)
    assert wrong.code == 2
    assert "is no ledger case" in wrong.err


def test_a_search_goes_on_where_it_was(quantized):
    again = assay(
        "search",
        quantized.suite,
        "--model",
        "digits",
        "--variant",
        "bad",
        "--budget",
        "1s",
        "--resume",
        "--json",
        db=quantized.db,
    ).document
    measured = {trial["variant"]: (trial["value"], trial["run_id"]) for trial in quantized.search["tried"]}
    taken = {trial["variant"]: (trial["value"], trial["run_id"]) for trial in again["tried"]}
    assert measured == {variant: told for variant, told in taken.items() if variant in measured}


def test_a_search_of_another_meaning_starts_anew(quantized, folder):
    """What was measured with other calibration data says nothing of this variant."""
    suite = folder / "q.toml"
    suite.write_text(quantized.suite.read_text().replace("batches = 4", "batches = 2"))
    again = assay(
        "search",
        suite,
        "--model",
        "digits",
        "--variant",
        "bad",
        "--budget",
        "1s",
        "--resume",
        "--json",
        db=quantized.db,
    ).document
    before = {trial["variant"]: trial["run_id"] for trial in quantized.search["tried"]}
    assert all(trial["run_id"] != before.get(trial["variant"]) for trial in again["tried"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "digit", "--variant", "bad"), "has no model 'digit'. Did you mean 'digits'?"),
        (("--model", "digits", "--variant", "bat"), "has no variant 'bat'. Did you mean 'bad'?"),
        (("--model", "digits", "--variant", "bad", "--budget", "soon"), "--budget is a time such as 90s"),
        (("--model", "digits", "--variant", "bad"), "has no quality case of 'digits'"),
    ],
)
def test_a_search_that_cannot_be_done_says_why(folder, arguments, message):
    (folder / "s.toml").write_text(
        QUANTIZED + '[[case]]\ncheck = "benchmark"\nmodels = ["digits"]\nworkloads = ["test"]\n'
    )
    done = assay("search", folder / "s.toml", *arguments, db=folder / "none.duckdb")
    assert done.code == 2
    assert message in done.err.replace("\n", " ")
    assert not done.out


def test_labels_never_reach_the_model_and_a_workload_without_them_is_refused(folder):
    (folder / "u.toml").write_text(
        QUANTIZED + '[[case]]\ncheck = "quality"\nmodels = ["digits"]\nworkloads = ["one"]\n'
    )
    done = assay("run", folder / "u.toml", "--json", db=folder / "a.duckdb")
    assert done.document["cases"][0]["error"] == "the check 'quality' needs a workload with labels and a task."


def test_a_static_quantizer_without_data_refuses_to_make_some_up(folder):
    cases = '[[case]]\ncheck = "parity"\nmodels = ["digits"]\nworkloads = ["test"]\nvariants = ["uncalibrated"]\n'
    (folder / "c.toml").write_text(QUANTIZED + cases)
    done = assay("run", folder / "c.toml", "--json", db=folder / "a.duckdb")
    assert "Nothing is made up in its place" in done.document["cases"][0]["error"]


def test_calibration_data_that_are_not_finite_name_the_batch(folder):
    (folder / "nan.py").write_text(
        "import numpy as np\ndef bad(seed, batches):\n    yield {'image': np.full((1, 1, 8, 8), np.nan, np.float32)}\n"
    )
    cases = """
[workload.nan]
generator = "nan.py:bad"
[variant.nan]
recipe = "onnxruntime-static"
calibration = "nan"
[[case]]
check = "parity"
models = ["digits"]
workloads = ["one"]
variants = ["nan"]
"""
    (folder / "n.toml").write_text(QUANTIZED + cases)
    done = assay("run", folder / "n.toml", "--json", db=folder / "a.duckdb")
    assert "calibration data 'nan': batch 0 holds NaN or infinity in 'image'" in done.document["cases"][0]["error"]


def test_a_known_bad_codebook_is_caught_before_it_runs(folder):
    done = assay("run", "lut", "--only", "*inverse/*ledger", "--json", db=folder / "lut.duckdb")
    assert done.code == 0, done.err
    verdict = done.document["cases"][0]["verdicts"][0]
    assert verdict["outcome"] == "pass"
    assert verdict["reason"].startswith(
        "caught before it ran: codebook 'lut8-inverse' is unsound: its decoder is not monotone"
    )


def test_the_three_tests_of_lut8_pass(folder):
    done = assay("run", "lut", "--only", "[tp][hr]*/lut8/*", "--json", db=folder / "lut.duckdb")
    cases = {case["case"]: case for case in done.document["cases"]}
    assert done.code == 0
    three = figures(cases["three_weights/lut8/onnxruntime/one/ledger"])
    projection = figures(cases["projection/lut8/onnxruntime/activations/ledger"])
    assert three["weight_max_abs"]["value"] <= 0.5 / 508
    assert projection["weight_mean_abs"]["value"] == pytest.approx(0.000098, abs=1e-6)
    # a code and a sign of eight bits each, as they are stored
    assert projection["quantized_bits_per_weight"]["value"] == pytest.approx(16, abs=0.01)
    assert cases["projection/lut8/onnxruntime/activations/parity"]["verdicts"][0]["outcome"] == "pass"


def test_two_runs_whose_data_differ_say_so(folder):
    suite, db = folder / "seeds.toml", folder / "seeds.duckdb"
    text = (
        QUANTIZED
        + """
[[case]]
check = "parity"
models = ["digits"]
workloads = ["noise"]
variants = ["minmax"]
policy = "general"
"""
    )
    suite.write_text("seed = 1\n" + text)
    assert assay("run", suite, "--json", db=db).code in (0, 1)
    suite.write_text("seed = 2\n" + text)
    assert assay("run", suite, "--json", db=db).code in (0, 1)
    told = assay("doctor", "latest", "--json", db=db)
    (found,) = [entry for entry in told.document["diagnoses"] if entry["problem"] == "runs differ"]
    assert (found["problem"], told.document["against"] is None) == ("runs differ", False)
    assert "the inputs are others" in found["because"]
    assert "max_abs" in found["evidence"]


def test_a_mask_that_leaves_no_codes_for_the_rest_is_found_though_its_signal_to_noise_is_perfect(folder):
    mask = np.zeros((1, 32), np.float32)
    mask[0, 20:] = np.finfo(np.float32).min
    nodes = [
        onnx.helper.make_node("Add", ["x", "mask"], ["masked"], name="add"),
        onnx.helper.make_node("Softmax", ["masked"], ["y"], name="softmax"),
    ]
    ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [64, 32]) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "g", ports[:1], ports[1:], [onnx.numpy_helper.from_array(mask, "mask")])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10),
        folder / "attention.onnx",
    )
    (folder / "mask.toml").write_text("""
name = "mask"
model.attention.onnx = "attention.onnx"
workload.scores = { inputs = { x = { shape = [64, 32] } }, batches = 2 }
variant.int8 = { recipe = "onnxruntime-static", calibration = "scores" }
[[case]]
check = "ledger"
models = ["attention"]
workloads = ["scores"]
variants = ["int8"]
""")
    done = assay("run", folder / "mask.toml", "--json", db=folder / "mask.duckdb")
    (case,) = done.document["cases"]
    found = {f["subject"]: f["message"] for f in case["findings"] if f["kind"] == "stretched_range"}
    assert "its values fall on 2 of 256 codes, because the range from -3.4e+38" in found["masked"]
    assert "x" not in found
