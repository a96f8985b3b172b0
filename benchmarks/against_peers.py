"""What users of each tool would read off for one model.

Medians beside a bare loop's, and how repeated medians scatter under load.

    python benchmarks/against_peers.py [--optimum-python PYTHON] [--repeats 9]

Every reading is a program of its own in a session of its own, as users run it (Linux shares cores by session): a bare
`session.run` loop, Polygraphy's OnnxrtRunner, Assay's command line; with an interpreter that has optimum-benchmark 0.6
(which needs transformers 4) also the same for PyTorch on a tiny GPT-2 (optimum-benchmark loads no ONNX file of one's
own). Rounds take all tools in turn. First quiet, then while another process keeps one core busy. Prints one JSON line
for each model: the ratio of a tool's typical median to the bare loop's, and the spread of its medians (standard
deviation of their logs).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from models_to_time import WIDTH, millisecond_model

HERE = Path(__file__).resolve().parent
SAMPLES = 3000
"""As long as Assay's own blocks take together: about 3 s."""
WARM_UP = 100

SUITE = """
name = "peers"
[model.m]
onnx = "model.onnx"
[workload.w]
file = "input.npz"
[[case]]
check = "benchmark"
models = ["m"]
workloads = ["w"]
"""
TORCH_SUITE = """
name = "peers"
[model.m]
pytorch = "factory.py:network"
outputs = ["hidden"]
[workload.w]
inputs = { input_ids = { shape = [1, 16], dtype = "int64", distribution = "integers", low = 0, high = 1000 } }
[[case]]
check = "benchmark"
models = ["m"]
workloads = ["w"]
backends = ["elsewhere"]
reference = "elsewhere"
[backend.elsewhere]
kind = "pytorch"
python = "{python}"
"""
FACTORY = """
def network():
    import torch
    from transformers import GPT2Model
    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = GPT2Model.from_pretrained("{folder}")
        def forward(self, input_ids):
            return self.network(input_ids=input_ids).last_hidden_state
    return Hidden()
"""
MADE = """
import sys
from transformers import GPT2Config, GPT2Model
config = GPT2Config(n_layer=2, n_head=4, n_embd=64, vocab_size=1024, bos_token_id=None, eos_token_id=None, pad_token_id=0)
GPT2Model(config).save_pretrained(sys.argv[1])
print("median", 0)
"""
BARE = """
import sys, time, statistics, numpy as np, onnxruntime as ort
session = ort.InferenceSession(sys.argv[1] + "/model.onnx", providers=["CPUExecutionProvider"])
feed = dict(np.load(sys.argv[1] + "/input.npz"))
for _ in range({warm}): session.run(None, feed)
samples = []
for _ in range({samples}):
    start = time.perf_counter_ns(); session.run(None, feed); samples.append((time.perf_counter_ns() - start) / 1e6)
print("median", statistics.median(samples))
"""
POLYGRAPHY = """
import sys, statistics, numpy as np
from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
feed = dict(np.load(sys.argv[1] + "/input.npz"))
with OnnxrtRunner(SessionFromOnnx(sys.argv[1] + "/model.onnx", providers=["CPUExecutionProvider"])) as runner:
    for _ in range({warm}): runner.infer(feed)
    samples = []
    for _ in range({samples}):
        runner.infer(feed); samples.append(runner.last_inference_time() * 1e3)
print("median", statistics.median(samples))
"""
BARE_TORCH = """
import sys, time, statistics, torch
sys.path.insert(0, sys.argv[1])
from factory import network
module, feed = network().eval(), torch.randint(0, 1000, (1, 16))
samples = []
with torch.inference_mode():
    for _ in range({warm}): module(feed)
    for _ in range({samples}):
        start = time.perf_counter_ns(); module(feed); samples.append((time.perf_counter_ns() - start) / 1e6)
print("median", statistics.median(samples))
"""
OPTIMUM = """
import sys, logging, statistics
from optimum_benchmark import Benchmark, BenchmarkConfig, InferenceConfig, ProcessConfig, PyTorchConfig
if __name__ == "__main__":
    config = BenchmarkConfig(
        name="peer", launcher=ProcessConfig(), backend=PyTorchConfig(model=sys.argv[1], task="feature-extraction", no_weights=False, device="cpu", library="transformers", model_type="gpt2", torch_dtype="float32"),
        scenario=InferenceConfig(latency=True, memory=False, warmup_runs={warm}, iterations={samples}, duration=0, input_shapes=dict(batch_size=1, sequence_length=16)),
    )
    report = Benchmark.launch(config)
    print("median", statistics.median(report.forward.latency.values) * 1e3)
"""

BURN = """
import os, sys
while os.path.exists(f"/proc/{sys.argv[1]}"): pass
"""
"""Ends when the benchmark does, however that ended."""


def program(text: str, python: str = sys.executable) -> Callable[[Path], float]:
    """A reading by a program that prints one median in ms."""

    def read(folder: Path) -> float:
        path = folder / "program.py"
        path.write_text(text.replace("{warm}", str(WARM_UP)).replace("{samples}", str(SAMPLES)))
        done = subprocess.run(
            [python, path, folder], capture_output=True, text=True, check=False, cwd=folder, start_new_session=True
        )
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        return float(re.findall(r"^median (\S+)", done.stdout, re.MULTILINE)[-1])

    return read


def assay(suite: str) -> Callable[[Path], float]:
    """A reading by Assay's command line, in a store that is new each time."""

    def read(folder: Path) -> float:
        (folder / "suite.toml").write_text(suite)
        with tempfile.TemporaryDirectory() as store:
            command = [
                sys.executable,
                "-m",
                "assay",
                "run",
                folder / "suite.toml",
                "--json",
                "--db",
                f"{store}/a.duckdb",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent)
        figures = {m["metric"]: m["value"] for m in json.loads(done.stdout)["cases"][0]["measurements"]}
        if "latency_p50_ms" not in figures:
            raise SystemExit(done.stderr[-3000:])
        return figures["latency_p50_ms"]

    return read


def compare(name: str, folder: Path, tools: dict[str, Callable[[Path], float]], repeats: int) -> None:
    """Read every tool in turn, quiet and under load, and print what came of it."""
    for load in (False, True):
        busy = (
            subprocess.Popen([sys.executable, "-c", BURN, str(os.getpid())], start_new_session=True) if load else None
        )
        found: dict[str, list[float]] = {tool: [] for tool in tools}
        try:
            for number in range(repeats):
                order = list(tools) if number % 2 == 0 else list(reversed(tools))
                for tool in order:
                    found[tool].append(tools[tool](folder))
                    time.sleep(0.2)
        finally:
            if busy:
                busy.kill()
        typical = {tool: statistics.median(values) for tool, values in found.items()}
        print(
            json.dumps(
                {
                    "benchmark": "against_peers",
                    "model": name,
                    "one_core_busy": load,
                    "repeats": repeats,
                    "typical_median_ms": {tool: round(value, 5) for tool, value in typical.items()},
                    "ratio_to_bare": {tool: round(value / typical["bare"], 4) for tool, value in typical.items()},
                    "spread_of_medians": {
                        tool: round(float(np.std(np.log(values), ddof=1)), 4) for tool, values in found.items()
                    },
                }
            ),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--optimum-python")
    parser.add_argument("--repeats", type=int, default=9)
    asked = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        millisecond_model(folder / "model.onnx")
        np.savez(folder / "input.npz", x0=np.random.default_rng(1).standard_normal((1, WIDTH)).astype(np.float32))
        tools = {"bare": program(BARE), "polygraphy": program(POLYGRAPHY), "assay": assay(SUITE)}
        compare("a stack of matrix products, ONNX Runtime", folder, tools, asked.repeats)
        if asked.optimum_python:
            program(MADE, asked.optimum_python)(folder)
            (folder / "factory.py").write_text(FACTORY.replace("{folder}", str(folder)))
            tools = {
                "bare": program(BARE_TORCH, asked.optimum_python),
                "optimum-benchmark": program(OPTIMUM, asked.optimum_python),
                "assay": assay(TORCH_SUITE.replace("{python}", asked.optimum_python)),
            }
            compare("GPT-2 of 2 layers, PyTorch", folder, tools, asked.repeats)


main()
