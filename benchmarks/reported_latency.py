"""The median that Assay reports for a 1 ms model, against a bare `session.run` loop, in turns in one run.

The case runs as always: its own worker, warm-up, blocks on command. The bare loop runs here, one block after each of
the worker's, on a session with the same settings.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from models_to_time import WIDTH, millisecond_model

from assay.runner.rules.policy import Policy
from assay.runner.suites.suite import Timing
from assay.runner.worker.events.facts import BlockTimed, LibraryImported, Ready
from assay.runner.worker.job import CaseJob
from assay.runner.worker.process import Worker
from assay.runner.workloads import golden

ROUNDS = 30


def bare_loop(session: ort.InferenceSession, feed: dict[str, np.ndarray], calls: int) -> list[float]:
    samples = []
    for _ in range(calls):
        start = time.perf_counter_ns()
        session.run(None, feed)
        samples.append((time.perf_counter_ns() - start) / 1e6)
    return samples


with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    path = millisecond_model(folder / "model.onnx")
    feed = {"x0": np.random.default_rng(1).standard_normal((1, WIDTH)).astype(np.float32)}
    golden.write(folder, "input", {}, [(feed, {})])
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.use_deterministic_compute = True
    session = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    bare_loop(session, feed, 300)
    job = CaseJob(
        op="benchmark",
        backend="onnxruntime",
        options={"threads": 1},
        goldens=str(folder),
        golden="input",
        source={"kind": "onnx", "location": str(path), "folder": str(folder)},
        policy=Policy().model_dump(mode="json"),
        timing=Timing(block_ms=50).model_dump(),
    )

    ours, bare = [], []
    with Worker(job, python=None, timeout_s=300) as worker:
        worker.until(LibraryImported)
        worker.send({"open": True})
        calls = worker.until(Ready).block_calls
        for _ in range(ROUNDS):
            for side in ("ours", "bare", "bare", "ours"):
                if side == "ours":
                    worker.send({"block": True})
                    ours += worker.until(BlockTimed).ms
                else:
                    bare += bare_loop(session, feed, calls)
ratio = statistics.median(ours) / statistics.median(bare)
print(
    json.dumps(
        {
            "benchmark": "reported_latency",
            "bare_median_ms": statistics.median(bare),
            "reported_median_ms": statistics.median(ours),
            "ratio": ratio,
            "samples_each": len(ours),
            "targets": {"ratio_within": 0.02},
        }
    )
)
