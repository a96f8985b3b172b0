"""ONNX Runtime's trace as layers, on events written by hand."""

from __future__ import annotations

from assay.runner.timing.traces import as_written, matched, onnxruntime_layers, original_name


def _node(name, kind, ts, dur, **facts):
    shapes = {"input_type_shape": [{"float": [4, 8]}, {"int8": [8, 2]}], "output_type_shape": [{"float": [4, 2]}]}
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "ts": ts,
        "dur": dur,
        "args": {"op_name": kind, "provider": "CPUExecutionProvider", "output_size": "32", **shapes, **facts},
    }


EVENTS = [
    {"cat": "Session", "name": "model_run", "ts": 0, "dur": 100},
    _node("first", "MatMul", 1, 90, mem_in_use_peak="5000", mem_arena_held="9000"),
    {"cat": "Session", "name": "model_run", "ts": 200, "dur": 40},
    _node("first", "MatMul", 201, 30),
    _node("second", "Add", 235, 10),
]


def test_layers_have_their_times_shares_and_types_in_the_order_that_they_ran():
    layers, memory = onnxruntime_layers(EVENTS)
    first, second = layers
    assert (first["name"], first["op_type"], first["calls"], first["total_ms"], first["median_us"]) == (
        "first",
        "MatMul",
        2,
        0.12,
        60,
    )
    assert (first["precision"], first["output_shape"], first["output_bytes"]) == ("float x int8", "[4, 2]", 32)
    assert (second["position"], second["share"]) == (1, 10 / 130)
    assert memory == {"allocator_peak_bytes": 5000, "arena_bytes": 9000}


def test_runs_that_warmed_up_are_left_out_of_times_but_not_of_memory():
    layers, memory = onnxruntime_layers(EVENTS, last_runs=1)
    assert [layer["calls"] for layer in layers] == [1, 1]
    assert layers[0]["median_us"] == 30
    assert memory["arena_bytes"] == 9000


def test_a_trace_without_nodes_has_no_layers():
    assert onnxruntime_layers([{"cat": "Session", "name": "model_run", "ts": 0, "dur": 1}]) == ([], {})


def test_a_quantized_or_fused_node_is_matched_with_the_one_that_it_was():
    assert original_name("/h.0/attn/c_attn/Gemm_MatMul_quant") == "/h.0/attn/c_attn/Gemm"
    assert original_name("node_linear_quant") == "node_linear"
    assert original_name("node_MatMul_72/MatMulScaleFusion/") == "node_MatMul_72"
    layers = [{"name": "fc_quant"}, {"name": "new"}]
    found = matched(layers, [{"name": "fc", "median_us": 7.0}])
    assert [(layer["reference_name"], layer["reference_us"]) for layer in found] == [("fc", 7.0), (None, None)]


def test_a_convolution_in_a_blocked_layout_is_the_node_that_it_stands_for():
    nodes = [
        ("conv", "Conv", ["x", "w"], ["c"]),
        ("act", "Relu", ["c"], ["relu"]),
        ("pool", "MaxPool", ["relu"], ["p"]),
    ]
    layers = [
        {"name": "relu_nchwc", "op_type": "Conv"},
        {"name": "p_nchwc", "op_type": "MaxPool"},
        {"name": "other", "op_type": "Add"},
    ]
    assert [layer["name"] for layer in as_written(layers, nodes)] == ["conv", "pool", "other"]


def test_a_convolution_that_swallowed_a_sum_is_found_behind_it():
    nodes = [("conv", "Conv", ["x", "w"], ["c"]), ("sum", "Add", ["x", "c"], ["s"]), ("act", "Relu", ["s"], ["r"])]
    assert as_written([{"name": "r_nchwc", "op_type": "Conv"}], nodes)[0]["name"] == "conv"


def test_suffixes_of_layouts_and_prefixes_of_fusions_are_not_names():
    assert original_name("node_conv2d_1_token_4") == "node_conv2d_1"
    assert original_name("fused node_linear") == "node_linear"
