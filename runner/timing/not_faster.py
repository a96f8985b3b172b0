"""Why a quantized variant is not faster: evidence from its layers, those of the float one, and the CPU. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from assay.runner.timing.traces import Layer

_PRODUCTS = ("MatMul", "Gemm", "Conv", "FusedMatMul", "FusedGemm", "FusedConv", "ConvTranspose", "Attention")
"""Operators that have integer kernels."""
_CONVERSIONS = (
    "DynamicQuantizeLinear",
    "QuantizeLinear",
    "DequantizeLinear",
    "Cast",
    "Transpose.Reorder",
    "ReorderInput",
    "ReorderOutput",
)
_INTEGER_ISA = ("vnni", "amx_int8", "amx", "i8mm")
_TINY = 64
_FEW = 3
_NOTABLE = 0.02
"""Of the time: less is not worth a line."""
_SLOWER = 1.1
_HARDLY = 0.9


def is_integer(layer: Layer) -> bool:
    """Whether an operator multiplies integers."""
    kind = layer["op_type"]
    return "Integer" in kind or kind.startswith(("QLinear", "QGemm", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"))


def why_not_faster(layers: Sequence[Layer], reference: Sequence[Layer], cpu_features: str) -> list[dict[str, Any]]:
    """Findings on a quantized profile; empty when nothing of it runs in integers and nothing was converted.

    `cpu_features` are the instruction sets of the host, as `assay.schema.rows.Environment` holds them.
    """
    integer = [layer for layer in layers if is_integer(layer)]
    if not integer and not any(layer["op_type"] in _CONVERSIONS[:3] for layer in layers):
        return []
    found = [
        *_bound(layers, integer, reference),
        *_float_products(layers),
        *_conversions(layers),
        *_slower(integer),
        *_convolutions(integer),
        *_instructions(integer, cpu_features),
    ]
    return [{"kind": "why_not_faster", **finding} for finding in found]


def _bound(layers: Sequence[Layer], integer: Sequence[Layer], reference: Sequence[Layer]) -> Iterator[dict[str, Any]]:
    """Amdahl: what quantization could win at the most, from the float times of the layers that it replaced."""
    before, after = (sum(layer["median_us"] for layer in some) for some in (reference, layers))
    replaced = sum(layer["reference_us"] or 0.0 for layer in integer)
    if not before or not integer:
        if before:
            yield _finding(
                "integer operators",
                "warning",
                "no operator runs in integers: every quantized tensor is turned back into float first",
            )
        return
    share = min(replaced / before, 1.0)
    most = 1 / (1 - share) if share < 1 else float("inf")
    yield _finding(
        "operators in sum",
        "note" if after < before * _HARDLY else "warning",
        f"{len(integer)} operators run in integers; in float they took {share:.0%} of the time, so that at most"
        f" {most:.2f}x could be won were they free. Operators in sum: {before / 1e3:.3g} ms in float, {after / 1e3:.3g}"
        f" ms now ({before / max(after, 1e-9):.2f}x)",
    )


def _float_products(layers: Sequence[Layer]) -> Iterator[dict[str, Any]]:
    left = [layer for layer in layers if layer["op_type"] in _PRODUCTS and not is_integer(layer)]
    with_weights = [layer for layer in left if _has_weights(layer)]
    others = [layer for layer in left if not _has_weights(layer)]
    for some, what in (
        (with_weights, "products with weights still run in float: their weights were not quantized"),
        (others, "products of two activations run in float: weight quantization leaves them"),
    ):
        share = sum(layer["share"] for layer in some)
        if share >= _NOTABLE:
            yield _finding(
                _names(some),
                "warning" if some is with_weights else "note",
                f"{len(some)} {what}; {share:.0%} of the time ({_names(some)})",
            )


def _has_weights(layer: Layer) -> bool:
    """A packed weight is no longer among the inputs that a profile names.

    One that is not packed counts as parameters.
    """
    activations = [shape for shape in layer.get("input_shapes", []) if len(shape) > 1]
    return len(activations) < 2 or (layer["parameter_bytes"] or 0) > _TINY * _TINY


def _conversions(layers: Sequence[Layer]) -> Iterator[dict[str, Any]]:
    some = [layer for layer in layers if layer["op_type"] in _CONVERSIONS]
    share = sum(layer["share"] for layer in some)
    if share >= _NOTABLE:
        kinds = sorted({layer["op_type"] for layer in some})
        yield _finding(
            ", ".join(kinds),
            "warning",
            f"{len(some)} conversions between types take {share:.0%} of the time ({', '.join(kinds)})",
        )


def _slower(integer: Sequence[Layer]) -> Iterator[dict[str, Any]]:
    slower = [
        layer for layer in integer if layer["reference_us"] and layer["median_us"] > _SLOWER * layer["reference_us"]
    ]
    if not slower:
        return
    tiny = [layer for layer in slower if 0 < min(_sizes(layer), default=0) < _TINY]
    worst = max(slower, key=lambda layer: layer["median_us"] - layer["reference_us"])
    small = (
        f"; {len(tiny)} of them multiply fewer than {_TINY} rows or columns, which does not pay for quantizing the"
        " activations"
        if tiny
        else ""
    )
    yield _finding(
        _names(slower),
        "warning",
        f"{len(slower)} of {len(integer)} integer operators are slower than in float, {worst['name']} the most: "
        f"{worst['median_us']:.3g} us against {worst['reference_us']:.3g} us{small}",
    )


DYNAMIC_CONVOLUTIONS = (
    "convolutions run as ConvInteger, which ONNX Runtime has no fast kernel for: quantize the graph statically"
    " (onnxruntime-static), dynamic INT8 is for products of matrices"
)


def _convolutions(integer: Sequence[Layer]) -> Iterator[dict[str, Any]]:
    some = [layer for layer in integer if layer["op_type"] == "ConvInteger"]
    slower = [layer for layer in some if layer["reference_us"] and layer["median_us"] > layer["reference_us"]]
    if slower:
        yield _finding("ConvInteger", "warning", f"{len(some)} {DYNAMIC_CONVOLUTIONS}")


def _sizes(layer: Layer) -> list[int]:
    """K and N of a product: the last axis of what goes in, and of what comes out; none of a convolution.

    What a convolution multiplies is its channels times its kernel, which a profile does not name.
    """
    if "Conv" in layer["op_type"]:
        return []
    shapes = layer.get("input_shapes", [])[:1]
    text = layer["output_shape"]
    return [shape[-1] for shape in shapes if shape] + (
        [int(text.strip("[]").split(",")[-1])] if text and text != "[]" else []
    )


def _instructions(integer: Sequence[Layer], cpu_features: str) -> Iterator[dict[str, Any]]:
    if integer and not any(name in cpu_features for name in _INTEGER_ISA):
        yield _finding(
            "instruction set",
            "warning",
            "this CPU has no integer dot product (VNNI, AMX or I8MM): INT8 products take several instructions each, and"
            " u8s8 ones may saturate",
        )


def _names(layers: Sequence[Layer]) -> str:
    ordered = sorted(layers, key=lambda layer: -layer["share"])
    return ", ".join(layer["name"] for layer in ordered[:_FEW]) + (" and more" if len(ordered) > _FEW else "")


def _finding(subject: str, severity: str, message: str) -> dict[str, Any]:
    return {"subject": subject, "severity": severity, "message": message}
