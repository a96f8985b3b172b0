"""The ledger reads what quantized graphs compute with, whatever their layout."""

import math

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assay.runner.graphs.quantized_graph import Pair
from assay.runner.quality import ledger
from assay.runner.quality.codes import decode, encode


def saved(path, nodes, inputs, outputs, initializers):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs],
        [numpy_helper.from_array(a, n) for n, a in initializers.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


WEIGHT = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
BATCH = {"x": np.array([[1.0, 2.0]], np.float32)}


@pytest.fixture
def original(tmp_path):
    return saved(
        tmp_path / "float.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        [("x", [1, 2])],
        ["y"],
        {"w": WEIGHT},
    )


def with_weight(tmp_path, initializers, nodes, weight):
    product = helper.make_node("MatMul", ["x", weight], ["y"], name="product")
    return saved(tmp_path / "quantized.onnx", [*nodes, product], [("x", [1, 2])], ["y"], initializers)


def only_weight(original, quantized):
    found = [*ledger.weight_entries(Pair(original, quantized, BATCH))]
    assert len(found) == 1
    return found[0]


def test_an_asymmetric_weight_does_not_wrap(tmp_path, original):
    # scale 0.02, zero point 100: codes 150, 0, 125, 250 are 1, -2, 0.5, 3; in eight bits 0 - 100 would be 156
    codes = np.array([[150, 0], [125, 250]], np.uint8)
    dequantize = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"])
    found = only_weight(
        original, with_weight(tmp_path, {"q": codes, "s": np.float32(0.02), "z": np.uint8(100)}, [dequantize], "d")
    )
    assert found["max_abs"] == pytest.approx(0.0, abs=1e-6)
    assert (found["name"], found["scheme"], found["kind"]) == ("w", "uint8 per tensor", "weight")


def test_a_weight_with_a_scale_for_each_column_is_read_along_its_axis(tmp_path, original):
    codes = np.array([[100, -80], [50, 120]], np.int8)
    dequantize = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], axis=1)
    scales = np.array([0.01, 0.025], np.float32)
    found = only_weight(
        original, with_weight(tmp_path, {"q": codes, "s": scales, "z": np.zeros(2, np.int8)}, [dequantize], "d")
    )
    assert found["max_abs"] == pytest.approx(0.0, abs=1e-6)
    assert (found["scale_min"], found["scale_max"]) == pytest.approx((0.01, 0.025))
    # 4 codes, 2 scales of 4 bytes, 2 zero points
    assert found["bits_per_weight"] == 8 * (4 + 8 + 2) / 4


def test_a_blockwise_weight_of_four_bits_is_read_as_well(tmp_path):
    weight = np.arange(-8, 8, dtype=np.float32).reshape(4, 4) / 4
    original = saved(
        tmp_path / "float.onnx",
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        [("x", [1, 4])],
        ["y"],
        {"w": weight},
    )
    scale = np.array([[0.25] * 4, [0.25] * 4], np.float32)
    codes = helper.make_tensor("q", TensorProto.INT4, [4, 4], (weight / 0.25).astype(int).ravel().tolist())
    dequantize = helper.make_node("DequantizeLinear", ["q", "s"], ["d"], axis=0, block_size=2)
    path = saved(
        tmp_path / "q.onnx",
        [dequantize, helper.make_node("MatMul", ["x", "d"], ["y"], name="product")],
        [("x", [1, 4])],
        ["y"],
        {"s": scale},
    )
    model = onnx.load(path)
    model.graph.initializer.append(codes)
    onnx.save(model, path)
    found = next(ledger.weight_entries(Pair(original, path, {"x": np.zeros((1, 4), np.float32)})))
    assert found["max_abs"] == 0.0
    assert found["sqnr_db"] == math.inf
    assert (found["levels"], found["used_levels"]) == (16, 16)
    # 16 codes of 4 bits, 8 scales of 32
    assert found["bits_per_weight"] == (16 * 4 + 8 * 32) / 16


def test_a_fake_quantized_weight_is_what_it_evaluates_to(tmp_path, original):
    nodes = [
        helper.make_node("QuantizeLinear", ["w", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
    ]
    found = only_weight(
        original, with_weight(tmp_path, {"w": WEIGHT, "s": np.float32(0.02), "z": np.int8(0)}, nodes, "d")
    )
    # 3.0 / 0.02 = 150 is clipped to 127: 2.54
    assert found["max_abs"] == pytest.approx(0.46, abs=1e-5)
    assert found["clipped"] == 0.25


def test_a_weight_that_is_only_turned_on_its_way_was_not_quantized(tmp_path, original):
    turn = helper.make_node("Transpose", ["t"], ["d"])
    path = with_weight(tmp_path, {"t": np.asarray(WEIGHT.T, order="C")}, [turn], "d")
    assert [*ledger.weight_entries(Pair(original, path, BATCH))] == []


def test_an_activation_is_judged_by_itself_and_by_what_came_before(tmp_path, original):
    scale, zero = np.float32(0.1), np.uint8(0)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("MatMul", ["xd", "w"], ["y"], name="product"),
    ]
    quantized = saved(tmp_path / "q.onnx", nodes, [("x", [1, 2])], ["y"], {"w": WEIGHT, "s": scale, "z": zero})
    batches = [{"x": np.array([[1.04, 2.0]], np.float32)}, {"x": np.array([[30.0, 0.0]], np.float32)}]
    found = [*ledger.activation_entries(Pair(original, quantized, BATCH), original, quantized, quantized, batches)]
    assert [entry["name"] for entry in found] == ["x"]
    entry = found[0]
    # 1.04 comes back as 1.0, 30 as 25.5: signal 1.04^2 + 4 + 900, noise 0.04^2 + 4.5^2
    assert entry["sqnr_db"] == pytest.approx(10 * math.log10((1.04**2 + 4 + 900) / (0.04**2 + 4.5**2)), rel=1e-4)
    assert entry["executed_sqnr_db"] == pytest.approx(entry["sqnr_db"])
    assert (entry["clipped"], entry["saturated"], entry["used_levels"]) == (0.25, 0.5, 4)
    assert sum(entry["histogram"]) == entry["elements"] == 4
    assert entry["distinct"] == 4


def test_a_float_graph_has_an_empty_ledger(original):
    pair = Pair(original, original, BATCH)
    assert [*ledger.weight_entries(pair)] == []
    assert [*ledger.activation_entries(pair, original, original, original, [BATCH])] == []


def test_codes_decode_to_the_nearest_value_and_clip_at_the_ends():
    values = np.array([-300.0, -0.26, 0.0, 0.24, 300.0], np.float32)
    codes = encode(values, np.float32(0.5), np.array(3, np.int8), 0, np.int8)
    assert codes.tolist() == [-128, 2, 3, 3, 127]
    assert decode(codes, np.float32(0.5), np.array(3, np.int8), 0).tolist() == [-65.5, -0.5, 0.0, 0.0, 62.0]


def test_an_8_bit_float_is_read_as_the_number_it_stands_for(tmp_path, original):
    # 500 / 0.5 = 1000 is clipped to 448, the largest of e4m3fn: 224. 1.04 / 0.5 = 2.08 lies between 2 and 2.25: 1.0
    scale, zero = np.float32(0.5), helper.make_tensor("z", TensorProto.FLOAT8E4M3FN, [], [0.0])
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("MatMul", ["xd", "w"], ["y"], name="product"),
    ]
    path = saved(tmp_path / "q.onnx", nodes, [("x", [1, 2])], ["y"], {"w": WEIGHT, "s": scale})
    model = onnx.load(path)
    model.graph.initializer.append(zero)
    onnx.save(model, path)
    batch = {"x": np.array([[1.04, 500.0]], np.float32)}
    (entry,) = ledger.activation_entries(Pair(original, path, BATCH), original, path, path, [batch], "none")
    noise = 0.04**2 + (500 - 224) ** 2
    assert entry["sqnr_db"] == pytest.approx(10 * math.log10((1.04**2 + 500**2) / noise), rel=1e-4)
    assert entry["executed_sqnr_db"] == entry["accumulated_sqnr_db"] == pytest.approx(entry["sqnr_db"])
    assert (entry["scheme"], entry["clipped"], entry["saturated"]) == ("float8_e4m3fn per tensor", 0.5, 0.5)
    assert (entry["levels"], entry["used_levels"]) == (254, 2)
    assert sum(entry["histogram"]) == 2


def test_a_graph_in_16_bits_has_every_tensor_in_its_ledger(tmp_path, original):
    # next to 1 a float16 has steps of 2^-10: 1.0001 is 1, and 2049 is 2048; beyond 65504 there is nothing
    nodes = [
        helper.make_node("Cast", ["x"], ["x16"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["x16", "w"], ["y16"], name="product"),
        helper.make_node("Cast", ["y16"], ["y"], to=TensorProto.FLOAT),
    ]
    half = np.array([[1.0, -2.0], [0.5, 3.001]], np.float16)
    path = saved(tmp_path / "half.onnx", nodes, [("x", [1, 2])], ["y"], {"w": half})
    pair = Pair(original, path, BATCH)
    (weight,) = ledger.weight_entries(pair)
    assert weight["max_abs"] == float(half[1, 1]) - 3.0
    assert (weight["scheme"], weight["bits_per_weight"]) == ("float16 per tensor", 16)
    batch = {"x": np.array([[1.0001, 2049.0]], np.float32)}
    read, made = ledger.activation_entries(pair, original, path, path, [batch], "none")
    assert (read["name"], made["name"]) == ("x", "y")
    assert (read["max_abs"], read["scheme"], read["levels"]) == (1.0, "float16 per tensor", None)
    assert read["executed_sqnr_db"] == read["sqnr_db"]


def test_a_weight_that_was_scaled_to_its_activation_is_read_times_that_scale(tmp_path, original):
    # rows times (4, 0.5) in the file, columns of x times (1/4, 2) in the graph: the same product
    scaled = WEIGHT * np.array([[4.0], [0.5]], np.float32)
    nodes = [
        helper.make_node("Mul", ["x", "smooth"], ["xs"], name="pre_quant_scale"),
        helper.make_node("QuantizeLinear", ["scaled", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("MatMul", ["xs", "d"], ["y"], name="product"),
    ]
    held = {
        "scaled": scaled,
        "smooth": np.array([[0.25, 2.0]], np.float32),
        "s": np.float32(0.25),
        "z": np.int8(0),
    }
    path = saved(tmp_path / "q.onnx", nodes, [("x", [1, 2])], ["y"], held)
    pair = Pair(original, path, BATCH)
    (weight,) = ledger.weight_entries(pair)
    assert weight["max_abs"] == 0.0
    assert weight["scheme"] == "int8 per tensor, stored as float32"
    assert weight["bits_per_weight"] == 32  # four floats: the quantizer's codes are made anew at each run


def test_a_product_of_coded_weights_alone_is_judged_by_what_it_gives(tmp_path, original):
    codes = np.array([[100, -80], [50, 120]], np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], axis=1),
        helper.make_node("MatMul", ["x", "d"], ["y"], name="product"),
    ]
    held = {"q": codes, "s": np.array([0.01, 0.02], np.float32), "z": np.zeros(2, np.int8)}
    path = saved(tmp_path / "q.onnx", nodes, [("x", [1, 2])], ["y"], held)
    (entry,) = ledger.activation_entries(Pair(original, path, BATCH), original, path, path, [BATCH], "none")
    # the second column is -1.6, 2.4 in place of -2, 3: of (1, 2) it makes 3.2 in place of 4; the first makes 2 in both
    assert (entry["name"], entry["kind"], entry["sqnr_db"]) == ("y", "output", None)
    assert entry["executed_sqnr_db"] == pytest.approx(10 * math.log10((4 + 16) / 0.64), rel=1e-4)
    assert (entry["scheme"], entry["clipped"], entry["scale_min"]) == ("float32", None, None)
