"""The layer ledger against ONNX Runtime's qdq_loss_debug over 128 samples.

Memory that each grows by, and time, each in a process of its own.

    python benchmarks/layer_ledger.py [--minilm FOLDER]

Both get the float file, the static INT8 Q/DQ file and the same 128 inputs, one at a time. The peer keeps the
activations of all samples and then gives the SQNR of each matched activation, alone and against the float model (its
weights fail on MiniLM's scalars); the ledger gives these of weights too, cosine, clipping, codes in use and the
executed kernels beside, batch after batch. FOLDER is an all-MiniLM-L6-v2 (config.json, model.safetensors). Prints one
JSON line for each network; targets: at least 5 times less memory, no slower.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = 128
LENGTH = 32
"""Of a sentence; at 128 the peer needs more than 20 GB and is killed."""


def digits(folder: Path) -> dict[str, Any]:
    """The shipped CNN as ONNX, and 128 real digits."""
    import torch

    from assay.runner.models.digits import images, trained

    torch.onnx.export(
        trained().eval(),
        (torch.zeros(1, 1, 8, 8),),
        folder / "float.onnx",
        input_names=["image"],
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return {"image": images()[0][:SAMPLES, None]}


def minilm(folder: Path, weights: str) -> dict[str, Any]:
    """A sentence encoder of 6 layers, and 128 sentences of 32 drawn tokens."""
    import torch
    from transformers import AutoModel

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = AutoModel.from_pretrained(weights, attn_implementation="eager")

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.network(input_ids=input_ids).last_hidden_state
            return hidden

    tokens = np.random.default_rng(0).integers(1000, 30000, (SAMPLES, 1, LENGTH))
    torch.onnx.export(
        Encoder().eval(),
        (torch.from_numpy(tokens[0]),),
        folder / "float.onnx",
        input_names=["input_ids"],
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return {"input_ids": tokens}


def quantize(folder: Path, inputs: dict[str, Any]) -> None:
    """Prepared float file and its static INT8 form; a quarter of the samples is enough to learn ranges from."""
    from assay.runner.graphs.preparation import prepare
    from assay.runner.recipes import onnxruntime_static as static

    prepared = prepare(folder / "float.onnx", folder, fold=True)
    options = static.checked({"per_channel": True})
    static.learn(prepared, _Calibration(inputs), options, folder / "ranges.json")  # type: ignore[arg-type]
    static.quantize(prepared, folder / "ranges.json", options, folder / "int8.onnx")


class _Calibration:
    name = "samples"

    def __init__(self, inputs: dict[str, Any]) -> None:
        self._inputs = inputs

    def batches(self) -> Iterator[dict[str, Any]]:
        return (sample for number, sample in enumerate(samples(self._inputs)) if number % 4 == 0)


def samples(inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number in range(SAMPLES):
        yield {name: array[number] for name, array in inputs.items()}


def ours(folder: Path) -> int:
    """How many tensors have an entry."""
    from assay.runner.graphs.quantized_graph import Pair
    from assay.runner.quality import ledger

    inputs = dict(np.load(folder / "inputs.npz"))
    prepared, quantized = folder / "prepared.onnx", folder / "int8.onnx"
    pair = Pair(prepared, quantized, next(samples(inputs)))
    entries = [
        *ledger.weight_entries(pair),
        *ledger.activation_entries(pair, prepared, quantized, quantized, samples(inputs)),
    ]
    return len(entries)


def peer(folder: Path) -> int:
    from onnxruntime.quantization import qdq_loss_debug as debug
    from onnxruntime.quantization.calibrate import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = samples(dict(np.load(folder / "inputs.npz")))

        def get_next(self) -> dict[str, Any] | None:
            return next(self._left, None)

    kept = []
    for name in ("prepared", "int8"):
        augmented = folder / f"{name}_augmented.onnx"
        debug.modify_model_output_intermediate_tensors(str(folder / f"{name}.onnx"), str(augmented))
        kept.append(debug.collect_activations(str(augmented), Reader()))
    matched = debug.create_activation_matching(kept[1], kept[0])
    errors = debug.compute_activation_error(matched)
    return len(errors)


def measured(folder: Path, side: str) -> dict[str, float]:
    """Seconds and bytes of growth of one side, in a process that has imported everything before."""
    done = subprocess.run(
        [sys.executable, __file__, "--side", side, "--folder", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended with {done.returncode} (-9: killed, out of memory)"]
        return {"error": 1.0, "why": said[-1]}  # type: ignore[dict-item]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _peak() -> int:
    """The most resident bytes of this process since it began (getrusage starts from its parent's)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _nothing() -> bytes:
    """A model that gives what it gets."""
    import onnx

    port = {name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"}
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [port["x"]], [port["y"]])
    made: bytes = onnx.helper.make_model(
        graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 20)]
    ).SerializeToString()
    return made


def side_of(side: str, folder: Path) -> None:
    import onnxruntime.quantization.qdq_loss_debug

    import assay.runner.quality.ledger  # noqa: F401

    # What ONNX Runtime takes for the first session of a process (10 MB here) is on neither side's account.
    first = np.ones(1, np.float32)
    onnxruntime.InferenceSession(_nothing(), providers=["CPUExecutionProvider"]).run(None, {"x": first})
    before, started = _peak(), time.perf_counter()
    tensors = {"ours": ours, "peer": peer}[side](folder)
    seconds = time.perf_counter() - started
    grown = _peak() - before
    print(json.dumps({"s": seconds, "bytes": grown, "tensors": tensors}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minilm")
    parser.add_argument("--side")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.side:
        side_of(asked.side, asked.folder)
        return
    networks = {"digits": digits, **({"MiniLM": lambda folder: minilm(folder, asked.minilm)} if asked.minilm else {})}
    for name, make in networks.items():
        with tempfile.TemporaryDirectory() as folder:
            inputs = make(Path(folder))
            np.savez(Path(folder) / "inputs.npz", **inputs)
            quantize(Path(folder), inputs)
            sides = {
                side: min(
                    (measured(Path(folder), side) for _ in range(5 if name == "digits" else 1)),
                    key=lambda m: m.get("s", 0.0),
                )
                for side in ("ours", "peer")
            }
        ratios = {}
        if all("s" in found for found in sides.values()):
            ratios = {
                "memory": sides["peer"]["bytes"] / max(sides["ours"]["bytes"], 1),
                "time": sides["ours"]["s"] / sides["peer"]["s"],
            }
        print(
            json.dumps(
                {
                    "benchmark": "layer_ledger",
                    "network": name,
                    "samples": SAMPLES,
                    **sides,
                    "times_less_memory": ratios.get("memory"),
                    "times_their_time": ratios.get("time"),
                    "targets": {"times_less_memory": 5, "times_their_time": 1},
                }
            )
        )


if __name__ == "__main__":
    main()
