"""Variants of one module with the same weights: INT8 by PyTorch and by bitsandbytes, other float types, FP16 files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from assay.runner.backends import load_backend
from assay.runner.errors import UsageError
from assay.runner.graphs.simulate import in_float, integer_operators
from assay.runner.recipes.build import Ingredients, build
from assay.runner.recipes.calibration import CalibrationData
from assay.runner.recipes.torch_modules import apply
from assay.runner.session import Source
from assay.runner.workloads.asked import Workload


def linear_model(width: int = 64) -> nn.Module:
    """A layer by nn.Linear and one by transformers' Conv1D, whose weight is transposed."""
    from transformers.pytorch_utils import Conv1D

    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(width, 128), nn.ReLU(), Conv1D(width, 128))


def _sqnr(right: torch.Tensor, other: torch.Tensor) -> float:
    return float(10 * torch.log10(right.square().sum() / (right - other).square().sum()))


@pytest.mark.parametrize(
    ("recipe", "options", "least_db", "most_db"),
    [
        ("torch-dynamic", {}, 30, 60),
        ("bitsandbytes", {"kind": "int8"}, 30, 60),
        ("bitsandbytes", {"kind": "nf4"}, 12, 30),
        ("torch-dtype", {"dtype": "bfloat16"}, 35, 70),
        ("torch-dtype", {"dtype": "float16"}, 50, 90),
    ],
)
def test_a_variant_computes_nearly_what_the_module_does_and_not_exactly(
    recipe: str, options: dict, least_db: float, most_db: float
):
    inputs = torch.from_numpy(np.random.default_rng(0).standard_normal((16, 64)).astype(np.float32))
    with torch.inference_mode():
        right = linear_model().eval()(inputs)
        other = apply(recipe, linear_model().eval(), options)(inputs)
    assert other.dtype == torch.float32
    assert least_db < _sqnr(right, other) < most_db


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("torch-dynamic", {}),
        ("bitsandbytes", {"kind": "int8"}),
        ("codebook-linear", {}),
        ("codebook-linear", {"compute": "division"}),
    ],
)
def test_a_module_that_is_one_linear_layer_is_changed_too(recipe: str, options: dict):
    torch.manual_seed(0)
    layer = nn.Linear(64, 128).eval()
    inputs = torch.randn(16, 64)
    with torch.inference_mode():
        right = layer(inputs)
        other = apply(recipe, layer, options)(inputs)
    assert 30 < _sqnr(right, other) < 60


def one_layer() -> nn.Module:
    return nn.Linear(64, 128)


@pytest.mark.parametrize("recipe", ["torch-dynamic", "bitsandbytes", "codebook-linear"])
def test_a_layer_that_stands_for_another_takes_the_inputs_of_that_one(recipe: str):
    source = Source("factory", f"{__name__}:one_layer", Path(), recipe=recipe)
    with load_backend("pytorch").open_session(source, {}) as session:
        (output,) = session.infer({"input": np.ones((2, 64), np.float32)}).values()
    assert output.shape == (2, 128)


def test_a_quantized_session_says_what_it_holds_and_how_much():
    source = Source("factory", f"{__name__}:linear_model", Path(), recipe="torch-dynamic")
    inputs = {"input": np.ones((2, 64), np.float32)}
    with load_backend("pytorch").open_session(source, {}) as session:
        (output,) = session.infer(inputs).values()
        assert output.shape == (2, 64)
        weights, size = session.parameters()
        assert session.placement().placement == "torch-dynamic on cpu"
        assert "qint8" in session.placement().precision
    assert weights == 64 * 128 * 2 + 128 + 64
    assert size == 64 * 128 * 2 + 4 * (128 + 64)


@pytest.mark.parametrize(
    ("recipe", "options", "words"),
    [
        ("torch-dynamic", {"bits": 4}, "no option 'bits'"),
        ("torch-dtype", {"dtype": "int8"}, "bfloat16, float16"),
        ("bitsandbytes", {"kind": "int3"}, "kind cannot be .int3.. Did you mean .int8"),
    ],
)
def test_an_option_that_means_nothing_is_refused(recipe: str, options: dict, words: str):
    with pytest.raises(UsageError, match=words):
        apply(recipe, linear_model(), options)


def test_a_module_without_linear_layers_cannot_be_quantized_so():
    with pytest.raises(UsageError, match="the module has none"):
        apply("torch-dynamic", nn.ReLU(), {})


def _product(tmp_path: Path, k: int = 32) -> Path:
    weights = np.random.default_rng(0).standard_normal((k, 8)).astype(np.float32)
    ports = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4, size])
        for name, size in (("x", k), ("y", 8))
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"], "fc")],
        "g",
        ports[:1],
        ports[1:],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path / "base.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def _made(tmp_path: Path, recipe: str, base: Path, **options) -> Path:
    ingredients = Ingredients(tmp_path / "x.onnx", options, {}, None, base, None, {}, tmp_path, ())
    return build(recipe, ingredients, "origin", tmp_path / "cache").path


def _run(path: Path, inputs: np.ndarray) -> np.ndarray:
    with load_backend("onnxruntime").open_session(
        Source("onnx", str(path), path.parent), {"graph_optimization": "none"}
    ) as session:
        return session.infer({"x": inputs})["y"]


def test_a_file_in_fp16_is_half_as_large_and_takes_the_same_inputs(tmp_path: Path):
    base = _product(tmp_path, 4096)
    made = _made(tmp_path, "onnx-fp16", base)
    inputs = np.ones((4, 4096), np.float32)
    assert made.stat().st_size < 0.52 * base.stat().st_size
    np.testing.assert_allclose(_run(made, inputs), _run(base, inputs), rtol=0.02, atol=0.5)


def test_exact_integer_products_agree_with_those_that_are_executed_where_nothing_saturates(tmp_path: Path):
    made = _made(tmp_path, "onnxruntime-dynamic", _product(tmp_path), reduce_range=True)
    assert integer_operators(made) == ["MatMulInteger"]
    assert in_float(made, tmp_path / "simulated.onnx")
    inputs = np.random.default_rng(1).standard_normal((4, 32)).astype(np.float32)
    np.testing.assert_array_equal(_run(tmp_path / "simulated.onnx", inputs), _run(made, inputs))
    assert not in_float(_product(tmp_path), tmp_path / "none.onnx"), "a float file has nothing to simulate"


def test_another_base_makes_another_file_though_recipe_and_options_are_the_same(tmp_path: Path):
    first = _made(tmp_path, "onnxruntime-dynamic", _product(tmp_path, 32))
    second = _made(tmp_path, "onnxruntime-dynamic", _product(tmp_path, 64))
    assert first != second


def test_a_weight_that_is_stored_twice_is_found_transposed_too(tmp_path: Path):
    from assay.runner.graphs.audit import stored_twice

    weights = np.random.default_rng(0).standard_normal((1024, 300)).astype(np.float32)
    tensors = [
        onnx.numpy_helper.from_array(array, name)
        for name, array in (("embedding", weights), ("head", np.asarray(weights.T, order="C")), ("other", weights + 1))
    ]
    graph = onnx.helper.make_graph([], "g", [], [], tensors)
    onnx.save(onnx.helper.make_model(graph), tmp_path / "m.onnx")
    (finding,) = stored_twice(tmp_path / "m.onnx")
    assert finding["subject"] == "head"
    assert "1.2 MiB" in finding["message"]
    assert "embedding" in finding["message"]


@pytest.mark.parametrize("recipe", ["onnxruntime-dynamic", "onnxruntime-static"])
def test_a_model_whose_weights_lie_beside_it_is_quantized_as_well(recipe: str, tmp_path: Path):
    weight = np.random.default_rng(0).standard_normal((64, 32)).astype(np.float32)
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    ports = [
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in (("x", [4, 64]), ("y", [4, 32]))
    ]
    graph = onnx.helper.make_graph([node], "g", ports[:1], ports[1:], [onnx.numpy_helper.from_array(weight, "w")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    made = []
    np.savez(tmp_path / "data.npz", x=np.ones((4, 64), np.float32))
    for beside in (False, True):
        folder = tmp_path / f"beside-{beside}"
        folder.mkdir()
        onnx.save(model, folder / "model.onnx", save_as_external_data=beside, location="weights", size_threshold=0)
        asked = Ingredients(
            target=folder / "made" / "model.onnx",
            options={},
            example={"x": np.ones((4, 64), np.float32)},
            module=None,
            base=folder / "model.onnx",
            onnx=None,
            onnx_options={},
            folder=tmp_path,
            output_names=("y",),
            calibration=CalibrationData("data", Workload(file="data.npz"), 0, tmp_path),
        )
        built = build(recipe, asked, str(beside), tmp_path / "cache")
        session = ort.InferenceSession(built.path, providers=["CPUExecutionProvider"])
        made.append(session.run(None, {"x": np.ones((4, 64), np.float32)})[0])
    np.testing.assert_array_equal(*made)
    assert 0 < np.abs(made[0] - np.ones((4, 64)) @ weight).max() < 0.5
