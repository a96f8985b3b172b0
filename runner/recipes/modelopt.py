"""NVIDIA ModelOpt's quantizers for ONNX (INT8, FP8, INT4) and its AutoCast, run in an environment of their own.

`make quantizers` builds that environment.

Options of `modelopt`: `mode` (int8, fp8, int4), `method` (int8 and fp8: entropy, max; int4: awq_clip, awq_lite,
awq_full, rtn_dq), `high_precision_dtype` (what is not quantized: fp32, fp16, bf16), `nodes_to_quantize`,
`nodes_to_exclude`, `op_types_to_quantize`, `op_types_to_exclude`, `block_size`, `use_zero_point`, `disable_mha_qdq`,
`calibrate_per_node`, `simplify`, `opset`, `calibration_eps`, `python`. Options of `modelopt-autocast`:
`low_precision_type` (fp16, bf16), `nodes_to_exclude`, `op_types_to_exclude`, `data_max`, `init_max`,
`keep_io_types`, `python`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from assay.runner.errors import BadDocument, EnvironmentMissing, UsageError
from assay.runner.graphs.preparation import PROTOBUF_LIMIT
from assay.runner.permission import require_program
from assay.runner.recipes import RECIPES, known_options
from assay.runner.recipes.build import Ingredients
from assay.runner.recipes.calibration import CalibrationData, finite_batches
from assay.runner.recipes.checks import float_file, known_nodes
from assay.schema.documents import strict
from assay.schema.reading import json_document, read_text, reading

_LIBRARIES = ("nvidia-modelopt", "onnx", "onnxruntime", "torch")
_SCRIPT = Path(__file__).with_name("modelopt_script.py")
_VARIABLE = "ASSAY_QUANTIZERS"
_ENVIRONMENT = Path(".venv-quantizers/bin/python")


def build(ingredients: Ingredients) -> None:
    """Quantize the FP32 ONNX file; ModelOpt's ranges and scales are learnt from the variant's `calibration` data.

    Raises:
        UsageError: there is no such file or calibration data, an option or a node is unknown, or ModelOpt failed.
        EnvironmentMissing: there is no environment with ModelOpt.
    """
    options = known_options("modelopt", ingredients.options)
    options["method"] = options["method"] or RECIPES["modelopt"].options["method"].words(options)[0]
    if ingredients.calibration is None and options["method"] != "rtn_dq":
        raise UsageError(
            "recipe 'modelopt' needs data to learn ranges from: name a workload as the variant's `calibration`."
            " ModelOpt would make random data up in its place."
        )
    base = _base("modelopt", ingredients, options)
    python = options.pop("python")
    settings = {
        **options,
        "quantize_mode": options["mode"],
        "calibration_method": options["method"],
        "nodes_to_quantize": _exactly(options["nodes_to_quantize"]),
        "nodes_to_exclude": _exactly(options["nodes_to_exclude"]),
    }
    del settings["mode"], settings["method"]
    settings["use_external_data_format"] = sum(file.stat().st_size for file in base.parent.iterdir()) > PROTOBUF_LIMIT
    _run(python, {"op": "quantize", "base": str(base), "settings": settings}, ingredients, ingredients.calibration)
    kinds = {node.op_type for node in onnx.load(ingredients.target, load_external_data=False).graph.node}
    if "DequantizeLinear" not in kinds:
        raise UsageError(
            "ModelOpt quantized nothing: no node is of a type, a name and a size that it takes (products need 16 rows"
            " and columns). A float file is not recorded as a quantized one."
        )


def cast(ingredients: Ingredients) -> None:
    """Convert the FP32 ONNX file to mixed precision by AutoCast.

    Nodes whose values leave the low type's range stay in FP32.

    Values are those of the variant's `calibration` data, else those of the workload's first batch: AutoCast would make
    random ones up.

    Raises:
        UsageError: there is no such file, an option or a node is unknown, or AutoCast failed.
        EnvironmentMissing: there is no environment with ModelOpt.
    """
    options = known_options("modelopt-autocast", ingredients.options)
    base = _base("modelopt-autocast", ingredients, options)
    python = options.pop("python")
    settings = {**options, "nodes_to_exclude": _exactly(options["nodes_to_exclude"])}
    _run(python, {"op": "autocast", "base": str(base), "settings": settings}, ingredients, ingredients.calibration)


def tools(options: dict[str, Any], folder: Path) -> dict[str, str]:
    """What else decides the result: the quantizers' versions, and the script that runs there.

    Raises:
        EnvironmentMissing: there is no such environment.
    """
    names = ", ".join(repr(name) for name in _LIBRARIES)
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in [{names}]}}))"
    python = _interpreter(options.get("python"), folder)
    asked = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise EnvironmentMissing(f"{python} has no ModelOpt: {_last_line(asked.stderr)}. `make quantizers` builds it.")
    with reading(python, "an environment that says its versions"):
        versions = dict(json_document(asked.stdout, python))
    return {**versions, "script": hashlib.sha256(_SCRIPT.read_bytes()).hexdigest()}


def _base(recipe: str, ingredients: Ingredients, options: dict[str, Any]) -> Path:
    base = float_file(recipe, ingredients)
    graph = onnx.load(base, load_external_data=False).graph
    known_nodes(graph, options.get("nodes_to_exclude"), options.get("nodes_to_quantize"))
    return base


def _exactly(names: list[str] | None) -> list[str] | None:
    """ModelOpt reads names as regular expressions; here they are names, as in every other recipe."""
    return None if names is None else [f"^{re.escape(name)}$" for name in names]


def _interpreter(python: str | None, folder: Path) -> str:
    """The option `python`, else the environment variable, else the folder that `make quantizers` makes.

    Raises:
        UsageError: the one that is named cannot be run, or a suite names it and nobody allowed it.
        EnvironmentMissing: none is named, and none was made.
    """
    if given := python or os.environ.get(_VARIABLE):
        found = str(folder / given)
        if not os.access(found, os.X_OK):
            where = "option `python`" if python else _VARIABLE
            raise UsageError(f"the interpreter of the quantizers, {found!r} by {where}, cannot be run.")
        if python:
            require_program(found)
        return found
    for root in (Path.cwd(), folder, Path(__file__).resolve().parents[2]):
        if (root / _ENVIRONMENT).is_file():
            return str(root / _ENVIRONMENT)
    raise EnvironmentMissing(
        "ModelOpt runs in an environment of its own, and there is none: `make quantizers` builds"
        f" {_ENVIRONMENT.parents[1]}; elsewhere, set {_VARIABLE} to its python."
    )


def _run(
    python: str | None, request: dict[str, Any], ingredients: Ingredients, calibration: CalibrationData | None
) -> None:
    interpreter = _interpreter(python, ingredients.folder)
    with tempfile.TemporaryDirectory(dir=ingredients.target.parent) as scratch:
        folder = Path(scratch)
        (folder / "calibration").mkdir()
        # Even where nothing is learnt, it runs the model once to find attention.
        for index, batch in enumerate(finite_batches(calibration) if calibration else [ingredients.example]):
            np.savez(folder / "calibration" / f"{index:06}.npz", allow_pickle=False, **batch)
        # It may write beside its input, and the base is another artifact's file.
        shutil.copytree(Path(request["base"]).parent, folder / "base")
        request["base"] = str(folder / "base" / Path(request["base"]).name)
        if request["settings"].get("quantize_mode") == "int4":
            _turn_weights(Path(request["base"]))
        (folder / "request.json").write_text(strict({**request, "libraries": _LIBRARIES}))
        done = subprocess.run(
            [interpreter, "-I", str(_SCRIPT), str(folder)], capture_output=True, text=True, check=False, cwd=folder
        )
        try:
            reply = json_document(read_text(folder / "reply.json"), "reply.json")
        except BadDocument:
            raise UsageError(f"ModelOpt ended with code {done.returncode}: {_last_line(done.stderr)}") from None
        if "error" in reply:
            raise UsageError(f"ModelOpt failed: {reply['error']}")
        for file in folder.glob("model.onnx*"):
            shutil.move(file, ingredients.target.parent / file.name)


def _turn_weights(path: Path) -> None:
    """Write every Gemm that reads its weight transposed with the weight turned: the same product.

    ModelOpt 0.47's AWQ cuts such a weight into blocks along the wrong axis, and ONNX Runtime refuses the file;
    PyTorch's exporters write
    each nn.Linear so.
    """
    model = onnx.load(path)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    readers = Counter(name for node in model.graph.node for name in node.input)
    for node in model.graph.node:
        attribute = next((a for a in node.attribute if a.name == "transB" and a.i), None)
        if node.op_type == "Gemm" and attribute and node.input[1] in weights and readers[node.input[1]] == 1:
            tensor = weights[node.input[1]]
            turned = np.asarray(onnx.numpy_helper.to_array(tensor).T, order="C")
            tensor.CopyFrom(onnx.numpy_helper.from_array(turned, tensor.name))
            attribute.i = 0
    del model.graph.value_info[:]  # some exporters write the shapes of weights there
    large = model.ByteSize() > PROTOBUF_LIMIT
    onnx.save(model, path, save_as_external_data=large, location="turned.data" if large else None)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:600] if lines else "it said nothing"
