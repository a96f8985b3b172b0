"""How variants are made; a recipe's name is its variant's `recipe`.

Add one: its function, in a file here, and a row in RECIPES with its options. Everything else reads the row: `assay
suite check`, the worker that runs it, `assay list recipes`, and the tests over the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from assay.runner.errors import UsageError, nearest
from assay.runner.recipes.options import Option, defaults, refuse_wrong


@dataclass(frozen=True, slots=True)
class Recipe:
    """A row of RECIPES."""

    function: str
    """`module:function`, imported on first use.

    It takes (Ingredients) and writes `Ingredients.target`; one that makes a module takes (module, options) and returns
    the module that runs; one that makes an engine returns its settings beside.
    """
    starts_from: Literal["source", "module", "onnx"]
    """What the model gives, the loaded PyTorch module, or the FP32 ONNX file of the variant's `from`."""
    makes: Literal["onnx", "module", "engine"] = "onnx"
    """An ONNX file; a changed module, which only the pytorch backend runs; or what an engine's backend opens."""
    precision: str | None = None
    """What it puts the products into; None of a given file, and where weights alone are narrow."""
    precision_by: tuple[str, Mapping[str, str]] | None = None
    """The same where an option decides: the option's name, and the precision of each of its values."""
    quantizes: bool = True
    """Whether its file may hold tensors in codes."""
    alters: bool = True
    """Whether answers are meant to differ, and weights to be smaller: equal ones then say that nothing was done."""
    calibration: Literal["needed", "may", "none"] = "none"
    """Whether it learns from the variant's `calibration` data."""
    options: Mapping[str, Option] = field(default_factory=dict)

    def load(self) -> Callable[..., Any]:
        """Import the function."""
        module, _, name = self.function.partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return function


_NODES = {
    "nodes_to_quantize": Option("names", "Nodes that are quantized; all that can be if left out."),
    "nodes_to_exclude": Option("names", "Nodes that stay in float."),
}
_OP_TYPES = Option("names", "Operator types that are quantized; the quantizer's own if left out.")
_INTEGERS = ("int8", "uint8", "int16", "uint16")
_SCHEME = {
    "scheme": Option("text", "The codebook: lut8, nf4, fp8, an MX format ...", "lut8"),
    "scale": Option("number", "One scale for every layer, in place of each its own."),
    "unchecked": Option("flag", "Make a scheme that is known to be bad, to see what it does.", False),
}
_PYTHON = Option("text", "Interpreter of the environment that has ModelOpt; `make quantizers` makes one.")

EXPORT = {
    "opset": Option("integer", "The ONNX opset; the exporter's own if left out.", least=7),
    "dynamic": Option("axes", "Axes that vary."),
    "optimize": Option("flag", "Whether the exporter optimizes the graph.", True),
    "exporter": Option(
        "text", "`dynamo`, or the older one; TorchScript files always take that.", "dynamo", ("dynamo", "legacy")
    ),
    "example": Option("text", "A factory of inputs to trace on, where the workload's have axes of 0 or 1 that vary."),
    "example_options": Option("table", "Keyword arguments of that factory.", {}),
}
_DYNAMIC = {
    "per_channel": Option("flag", "A scale for each channel of a weight.", False),
    "reduce_range": Option("flag", "Seven bits, for CPUs whose 8-bit products saturate.", False),
    "op_types": _OP_TYPES,
    "weight_type": Option("text", "Type of the weights.", "int8", ("int8", "uint8")),
    "preprocess": Option("flag", "Fold constants first, which unties weights that two nodes share.", True),
}
_STATIC = {
    "format": Option("text", "Q/DQ pairs, or operators on integers.", "qdq", ("qdq", "qoperator")),
    "method": Option("text", "How ranges are learnt.", "minmax", ("minmax", "entropy", "percentile", "distribution")),
    "per_channel": _DYNAMIC["per_channel"],
    "reduce_range": _DYNAMIC["reduce_range"],
    "activation_type": Option("text", "Type of the activations.", "uint8", _INTEGERS),
    "weight_type": Option("text", "Type of the weights.", "int8", _INTEGERS),
    "activation_symmetric": Option("flag", "Ranges of activations around zero.", False),
    "weight_symmetric": Option("flag", "Ranges of weights around zero; true of signed types if left out."),
    "moving_average": Option("flag", "Of minmax: a moving average of each batch's range.", False),
    "percentile": Option("number", "Of percentile: how much of the values a range holds.", 99.999, least=0, most=100),
    "num_bins": Option("integer", "Bins of the histograms; ONNX Runtime's own number if left out.", least=1),
    "op_types": _OP_TYPES,
    **_NODES,
    "preprocess": _DYNAMIC["preprocess"],
}
_RANGES = ("entropy", "max")
_METHODS = {"int8": _RANGES, "fp8": _RANGES, "int4": ("awq_clip", "awq_lite", "awq_full", "rtn_dq")}
_MODELOPT = {
    "mode": Option("text", "What weights and activations are put into.", "int8", tuple(_METHODS)),
    "method": Option("text", "How ranges or scales are learnt; the first if left out.", None, _METHODS, by="mode"),
    "high_precision_dtype": Option("text", "What is not quantized.", "fp32", ("fp32", "fp16", "bf16")),
    **_NODES,
    "op_types_to_quantize": _OP_TYPES,
    "op_types_to_exclude": Option("names", "Operator types that stay in float."),
    "block_size": Option("integer", "Of int4: weights that share a scale; ModelOpt's own number if left out.", least=1),
    "use_zero_point": Option("flag", "Of int4: a zero point beside each scale.", False),
    "disable_mha_qdq": Option("flag", "Leave the products of attention in float.", False),
    "calibrate_per_node": Option("flag", "Learn node by node, in less memory.", False),
    "simplify": Option("flag", "Simplify the graph first.", False),
    "opset": Option("integer", "The ONNX opset of the result; at least what its types need.", least=7),
    "calibration_eps": Option("names", "Where calibration runs: cpu, cuda:0 ...", ["cpu"]),
    "python": _PYTHON,
}
_AUTOCAST = {
    "low_precision_type": Option("text", "The narrower type.", "fp16", ("fp16", "bf16")),
    "nodes_to_exclude": _NODES["nodes_to_exclude"],
    "op_types_to_exclude": _MODELOPT["op_types_to_exclude"],
    "data_max": Option("number", "Nodes whose values are larger stay in FP32.", 512.0, least=0),
    "init_max": Option("number", "Nodes whose weights are larger stay in FP32.", 65504.0, least=0),
    "keep_io_types": Option("flag", "Leave the types of inputs and outputs as they are.", True),
    "python": _PYTHON,
}
_CODEBOOK = {
    **_SCHEME,
    "op_types": Option("names", "Operator types whose weights are coded.", ("MatMul", "Gemm")),
    "nodes_to_exclude": Option("names", "Nodes that stay in float.", ()),
}
_CODED_LINEAR = {
    **_SCHEME,
    "compute": Option(
        "text",
        "Codes index the table; the value is computed from the code (equal steps only); or once, at loading.",
        "lookup",
        ("lookup", "division", "decoded"),
    ),
}
_COMPILE = {
    "dynamic": Option("flag", "Compile for every shape at once; torch.compile decides if left out."),
    "mode": Option(
        "text",
        "Of torch.compile.",
        None,
        ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"),
    ),
    "fullgraph": Option("flag", "Refuse a module that does not compile to one graph.", False),
}
_TENSORRT = {
    "device": Option("text", "Where the engine is built, and runs: cuda, cuda:1.", "cuda"),
    "workspace_mib": Option("integer", "The most scratch memory of a layer; all of the device's if left out.", least=1),
    "optimization_level": Option("integer", "How long tactics are searched for.", 3, least=0, most=5),
    "tf32": Option("flag", "Let float32 products run in TF32.", False),
    "hardware": Option(
        "text", "Which other GPUs may load it.", "none", ("none", "ampere_plus", "same_compute_capability")
    ),
    "version_compatible": Option("flag", "Whether later TensorRTs may load it.", False),
    "refit": Option("flag", "Whether its weights can be replaced.", False),
    "strict_nans": Option("flag", "Keep what NaN does.", False),
    "distributive_independence": Option("flag", "Meant to make a row's result independent of its batch.", False),
    "aux_streams": Option("integer", "Streams beside the main one; TensorRT decides if left out.", least=0),
    "timing_cache": Option("text", "A file beside the suite; one of this TensorRT and GPU if left out."),
    "pin_timing_cache": Option("flag", "A tactic that the cache lacks is an error, and it is not changed.", False),
}

RECIPES: dict[str, Recipe] = {
    "given": Recipe("assay.runner.recipes.given:build", "source", quantizes=False, alters=False),
    "export": Recipe(
        "assay.runner.recipes.export:build", "module", precision="float32", quantizes=False, alters=False, options=EXPORT
    ),
    "onnxruntime-dynamic": Recipe(
        "assay.runner.recipes.onnxruntime_quantize:build_dynamic", "onnx", options=_DYNAMIC
    ),
    "onnxruntime-static": Recipe(
        "assay.runner.recipes.onnxruntime_static:build", "onnx", precision="int8", calibration="needed", options=_STATIC
    ),
    "modelopt": Recipe(
        "assay.runner.recipes.modelopt:build", "onnx", calibration="needed", options=_MODELOPT,
        precision_by=("mode", {"int8": "int8", "fp8": "float8", "int4": "int4"}),
    ),
    "modelopt-autocast": Recipe(
        "assay.runner.recipes.modelopt:cast", "onnx", calibration="may", options=_AUTOCAST,
        precision_by=("low_precision_type", {"fp16": "float16", "bf16": "bfloat16"}),
    ),
    "onnx-fp16": Recipe(
        "assay.runner.recipes.onnx_fp16:build", "onnx", precision="float16",
        options={"op_block": Option("names", "Operator types left in FP32; the converter's own if left out.")},
    ),
    "codebook": Recipe("assay.runner.recipes.codebook:build", "onnx", options=_CODEBOOK),
    "torch-dynamic": Recipe("assay.runner.recipes.torch_modules:quantize_dynamic", "module", "module"),
    "torch-dtype": Recipe(
        "assay.runner.recipes.torch_modules:cast", "module", "module",
        options={"dtype": Option("text", "The other float type.", "bfloat16", ("bfloat16", "float16"))},
    ),
    "torch-compile": Recipe(
        "assay.runner.recipes.torch_modules:compile_module", "module", "module", alters=False, options=_COMPILE
    ),
    "codebook-linear": Recipe(
        "assay.runner.recipes.codebook_modules:quantize_codebook", "module", "module", options=_CODED_LINEAR
    ),
    "bitsandbytes": Recipe(
        "assay.runner.recipes.torch_modules:quantize_bitsandbytes", "module", "module",
        options={"kind": Option("text", "What weights are held in.", "int8", ("int8", "nf4", "fp4"))},
    ),
    "tensorrt": Recipe(
        "assay.runner.backends.tensorrt_build:build", "onnx", "engine", alters=False, options=_TENSORRT
    ),
}  # fmt: skip
"""Name -> recipe. No library is imported for it: a suite is checked anywhere."""

MODULE_RECIPES = {name: recipe for name, recipe in RECIPES.items() if recipe.makes == "module"}
VARIANT_RECIPES = {name: recipe for name, recipe in RECIPES.items() if recipe.makes != "engine"}
"""What a variant's `recipe` may be; an engine is made by its backend, of any variant."""


def asked_of(recipe: str, options: Mapping[str, Any]) -> str | None:
    """The precision that a recipe puts into the graph; None of a given file, and where weights alone are narrow."""
    row = RECIPES.get(recipe)
    if row is None or row.precision_by is None:
        return None if row is None else row.precision
    option, precisions = row.precision_by
    return precisions.get(options.get(option, row.options[option].default))


def check_recipe(recipe: str, options: Mapping[str, Any]) -> None:
    """Refuse a variant's recipe that there is not, or an option that it does not take.

    Raises:
        UsageError: names the recipe, the option and the nearest right one.
    """
    if recipe not in VARIANT_RECIPES:
        raise UsageError(f"unknown recipe {recipe!r}.{nearest(recipe, VARIANT_RECIPES)}")
    known_options(recipe, options)


def known_options(recipe: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a recipe, those left out as they are by default.

    Raises:
        UsageError: one is unknown, or has a value that it does not take.
    """
    known = RECIPES[recipe].options
    refuse_wrong(f"recipe {recipe!r}", options, known)
    return {**defaults(known), **options}
