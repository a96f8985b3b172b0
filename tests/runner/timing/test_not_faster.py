"""Why INT8 is not faster, told from layers written by hand."""

from __future__ import annotations

from assay.runner.timing.not_faster import why_not_faster


def _layer(name, kind, us, share, *, was=None, shapes=((1, 768),), output="[1, 768]", parameters=None):
    return {
        "name": name,
        "op_type": kind,
        "median_us": us,
        "share": share,
        "reference_us": was,
        "reference_name": was and name,
        "input_shapes": [list(shape) for shape in shapes],
        "output_shape": output,
        "parameter_bytes": parameters,
    }


FLOAT = [_layer("fc", "MatMul", 100.0, 0.5), _layer("head", "MatMul", 100.0, 0.5)]


def _told(layers, features="avx2,avx512_vnni"):
    return {finding["subject"]: finding for finding in why_not_faster(layers, FLOAT, features)}


def test_a_product_that_stayed_in_float_is_named_with_its_share():
    told = _told(
        [
            _layer("fc", "DynamicQuantizeMatMul", 20.0, 1 / 6, was=100.0),
            _layer("head", "MatMul", 100.0, 5 / 6, was=100.0),
        ]
    )
    assert told["head"]["severity"] == "warning"
    assert "83% of the time" in told["head"]["message"]
    assert "at most 2.00x could be won" in told["operators in sum"]["message"]
    assert "1.67x" in told["operators in sum"]["message"]


def test_products_of_activations_are_a_note_because_no_weight_quantizer_reaches_them():
    told = _told(
        [
            _layer("fc", "MatMulInteger", 20.0, 0.5, was=100.0),
            _layer("scores", "MatMul", 20.0, 0.5, shapes=((12, 64, 64), (12, 64, 64))),
        ]
    )
    assert told["scores"]["severity"] == "note"


def test_conversions_that_cost_time_are_named():
    told = _told([_layer("fc", "MatMulInteger", 60.0, 0.6, was=100.0), _layer("q", "DynamicQuantizeLinear", 40.0, 0.4)])
    assert "40% of the time" in told["DynamicQuantizeLinear"]["message"]


def test_integer_operators_that_got_slower_are_named_and_small_sizes_are_blamed():
    small = _layer("fc", "MatMulInteger", 150.0, 1.0, was=100.0, shapes=((1, 16),), output="[1, 16]")
    told = _told([small])
    assert "150 us against 100 us" in told["fc"]["message"]
    assert "fewer than 64" in told["fc"]["message"]


def test_a_cpu_without_integer_dot_products_is_said_to_have_none():
    layers = [_layer("fc", "MatMulInteger", 60.0, 1.0, was=100.0)]
    assert "VNNI" in _told(layers, "avx2")["instruction set"]["message"]
    assert "instruction set" not in _told(layers)


def test_quantized_in_name_only_is_said_so():
    told = _told([_layer("fc", "MatMul", 100.0, 0.8, was=100.0), _layer("d", "DequantizeLinear", 25.0, 0.2)])
    assert "no operator runs in integers" in told["integer operators"]["message"]


def test_a_float_profile_is_not_diagnosed():
    assert why_not_faster(FLOAT, FLOAT, "avx2") == []


def test_dynamic_convolutions_are_told_what_to_do_and_a_picture_is_no_size_of_a_product():
    slow = _layer("conv", "ConvInteger", 900.0, 1.0, was=100.0, shapes=((1, 64, 28, 28),), output="[1, 64, 28, 28]")
    told = _told([slow])
    assert "1 convolutions run as ConvInteger" in told["ConvInteger"]["message"]
    assert "onnxruntime-static" in told["ConvInteger"]["message"]
    assert "fewer than" not in told["conv"]["message"], "28 is the width of the picture"
