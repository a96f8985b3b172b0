"""Other tools' files: what they state is recorded as imported.

What is no measurement is refused, and nothing is recorded.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from assay.runner.books.imports.readers import comma_separated, onnxruntime, polygraphy, pytest_benchmark, trtexec
from assay.runner.errors import UsageError
from assay.schema.queries import runs as run_queries
from assay.schema.queries import speed as speed_queries
from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import assay


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "store" / "assay.duckdb"


TIMES = [{"h2dMs": 0.1, "computeMs": c, "d2hMs": 0.05, "latencyMs": c + 0.15} for c in (1.0, 3.0, 2.0)]
PROFILE = [
    {"count": 10},
    {"name": "conv", "timeMs": 30.0, "averageMs": 3.0, "medianMs": 2.9, "percentage": 75},
    {"name": "fc", "timeMs": 10.0, "averageMs": 1.0},
]
LAYERS = {
    "Layers": [
        {
            "Name": "conv",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Format/Datatype": "Half"}],
            "Outputs": [{"Dimensions": [1, 8]}],
        },
        "fc",
    ]
}


def test_times_of_trtexec_are_samples_and_their_parts_are_medians():
    (case,) = trtexec(json.dumps(TIMES), ())
    assert case.samples_ms == pytest.approx([1.15, 3.15, 2.15])
    assert case.values == {"h2d_ms": 0.1, "compute_ms": 2.0, "d2h_ms": 0.05}


def test_times_of_older_releases_are_read_by_their_names():
    (case,) = trtexec(
        json.dumps([{"inMs": 0.2, "computeMs": 1.0, "outMs": 0.1, "latencyMs": 1.3, "endToEndMs": 2.0}]), ()
    )
    assert (case.samples_ms, case.values["h2d_ms"]) == ([1.3], 0.2)


def test_a_profile_and_an_engines_layers_become_layers():
    (profile,) = trtexec(json.dumps(PROFILE), ())
    assert [(layer["name"], layer["calls"], layer["share"], layer["median_us"]) for layer in profile.layers] == [
        ("conv", 10, 0.75, 2900),
        ("fc", 10, 0.25, 1000),
    ]
    (engine,) = trtexec(json.dumps(LAYERS), ())
    assert [(layer["name"], layer["op_type"], layer["precision"]) for layer in engine.layers] == [
        ("conv", "CaskConvolution", "Half"),
        ("fc", "layer", None),
    ]


def test_runtimes_of_polygraphy_are_read_from_what_it_writes():
    from polygraphy.comparator import IterationResult, RunResults

    results = RunResults()
    results.append(
        (
            "onnxrt",
            [IterationResult({"y": np.zeros(2, np.float32)}, runtime=t, runner_name="onnxrt") for t in (0.001, 0.002)],
        )
    )
    (case,) = polygraphy(results.to_json(), ())
    assert (case.name, case.samples_ms) == ("onnxrt", [1.0, 2.0])


def test_a_profile_is_read_from_what_onnx_runtime_writes(tmp_path: Path):
    import onnxruntime as ort
    from onnx import TensorProto, helper, save

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"], "product")], "g", ports[:1], ports[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), tmp_path / "m.onnx")
    settings = ort.SessionOptions()
    settings.enable_profiling, settings.profile_file_prefix = True, str(tmp_path / "p")
    session = ort.InferenceSession(tmp_path / "m.onnx", settings, providers=["CPUExecutionProvider"])
    for _ in range(3):
        session.run(None, {"x": np.ones((2, 2), np.float32)})
    (case,) = onnxruntime(Path(session.end_profiling()).read_text(), ())
    assert (len(case.samples_ms), [(layer["name"], layer["calls"]) for layer in case.layers]) == (3, [("product", 3)])
    assert case.values["allocator_peak_bytes"] > 0


def test_pytest_benchmarks_rounds_are_samples_and_without_them_its_statistics_count():
    document = {
        "benchmarks": [
            {"name": "a", "stats": {"data": [0.001, 0.003], "median": 0.002, "mean": 0.002}},
            {"name": "b", "stats": {"median": 0.004, "mean": 0.005}},
        ]
    }
    first, second = pytest_benchmark(json.dumps(document), ())
    assert first.samples_ms == [1.0, 3.0]
    assert second.values == {"latency_p50_ms": 4.0, "latency_mean_ms": 5.0}


def test_columns_of_a_csv_are_named_by_the_mapping():
    text = "model,median,size\nsmall,1.5,100\nlarge,,200\n"
    first, second = comma_separated(text, ["latency_p50_ms=median", "model_bytes=size", "name=model"])
    assert (first.name, first.values) == ("small", {"latency_p50_ms": 1.5, "model_bytes": 100.0})
    assert second.values == {"model_bytes": 200.0}


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ([], "needs at least one"),
        (["latency=median"], "latency_ratio"),
        (["latency_p50_ms=medain"], "median"),
        (["nonsense"], "METRIC=COLUMN"),
    ],
)
def test_a_mapping_that_fits_nothing_names_what_was_meant(mapping: list[str], words: str):
    with pytest.raises(UsageError, match=words):
        comma_separated("median\n1\n", mapping)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[1]",
        '{"lst": 3}',
        '[{"latencyMs": "fast"}]',
        '[{"latencyMs": NaN}]',
        '[{"count": 1}, 3]',
        "\x00",
    ],
)
@pytest.mark.parametrize("kind", ["trtexec", "polygraphy", "onnxruntime", "pytest-benchmark"])
def test_a_file_of_another_kind_is_an_error_with_its_name_and_records_nothing(
    tmp_path: Path, db: Path, kind: str, text: str
):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    done = assay("import", kind, path, "--model", "m", "--hardware", "here", db=db)
    assert done.code in (2, 4), done.err
    assert "wrong.json" in done.err
    assert "Traceback" not in done.err
    assert snapshot(Store(db)) is None


def test_three_exports_of_trtexec_are_one_case_with_the_provenance_imported(tmp_path: Path, db: Path):
    paths = []
    for name, document in (("times", TIMES), ("profile", PROFILE), ("layers", LAYERS)):
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(document))
    done = assay(
        "import",
        "trtexec",
        *paths,
        "--model",
        "resnet",
        "--variant",
        "fp16",
        "--hardware",
        "NVIDIA L4",
        "--json",
        db=db,
    )
    assert done.code == 0, done.err
    (case,) = done.document["cases"]
    assert (case["samples"], case["layers"]) == (3, 2)
    with reading(snapshot(Store(db))) as connection:
        measured = {m["metric"]: m for m in run_queries.measurements_of(connection, done.document["run"])}
        layers = speed_queries.layers_of(connection, done.document["run"])
    assert {m["provenance"] for m in measured.values()} == {"imported"}
    assert measured["latency_p50_ms"]["value"] == pytest.approx(2.15)
    assert measured["latency_p50_ms"]["low"] is None, "how the samples hang together is not known"
    assert "hardware=NVIDIA L4" in measured["latency_p50_ms"]["comparability"]
    assert [(layer["op_type"], layer["precision"], layer["calls"]) for layer in layers] == [
        ("CaskConvolution", "Half", 10),
        ("layer", None, 10),
    ]
