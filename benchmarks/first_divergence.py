"""First divergence on a 160-node model against torch.onnx.verification, in one run; and what the walk holds in memory.

Prints one JSON line: ratio of wall times (target: at least 20), and growth of resident memory during a walk over the
live tensors' peak (target: at most 2), of one graph and of both. The peer gets the same exported program; it is given a
time limit, and a run that does not end in it counts with the limit: the ratio is then a lower bound, and says so.
"""

from __future__ import annotations

import gc
import json
import logging
import multiprocessing
import os
import tempfile
import time
import warnings
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import torch

from assay.runner.divergence.explanation import explain
from assay.runner.divergence.torch_walk import TorchReference
from assay.runner.parity.compare import tally

PEER_LIMIT_S = float(os.environ.get("ASSAY_PEER_LIMIT_S", "240"))
WIDTH, DEPTH, ROWS, LARGE_ROWS = 256, 54, 64, 65_536


class Deep(torch.nn.Module):
    """Blocks of three nodes: linear, layer norm, tanh."""

    def __init__(self, wrong: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linears = torch.nn.ModuleList(torch.nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH))
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(WIDTH) for _ in range(DEPTH))
        if wrong is not None:
            self.norms[wrong].eps = 1e-2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for linear, norm in zip(self.linears, self.norms, strict=True):
            x = torch.tanh(norm(linear(x)))
        return x


def exported(wrong: int | None, rows: int = ROWS) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.onnx.export(
            Deep(wrong).eval(), (torch.zeros(rows, WIDTH),), input_names=["x"], dynamo=True, verbose=False
        )


def peer(queue: Any) -> None:
    """verify_onnx_program on the sound model; tells how many values it compared and how long it took."""
    from torch.onnx.verification import verify_onnx_program

    torch.set_num_threads(1)
    program = exported(None)
    started = time.perf_counter()
    found = verify_onnx_program(
        program, (torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(1)),), compare_intermediates=True
    )
    queue.put((len(found), time.perf_counter() - started))


def main() -> None:
    """Time both, then measure the walk's memory."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    program = exported(20)
    inputs = {"x": torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(1)).numpy()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        program.save(str(path))
        nodes = len(program.model_proto.graph.node)
        started = time.perf_counter()
        reference = TorchReference(Deep().eval(), inputs)  # its export is part of our time, and not of the peer's
        found = explain(path, reference, inputs)
        ours = time.perf_counter() - started
    theirs = in_a_process(peer, PEER_LIMIT_S)
    held, live, segments = in_a_process(memory, 300)
    suspect = found.suspect.entry if found.suspect else None
    seconds = theirs[1] if theirs else PEER_LIMIT_S
    print(
        json.dumps(
            {
                "benchmark": "first_divergence",
                "nodes": nodes,
                "ours_s": round(ours, 3),
                "peer_s": round(seconds, 1),
                "peer_finished": theirs is not None,
                "peer_values": theirs[0] if theirs else None,
                "our_values": len(found.entries),
                "ratio": round(seconds / ours, 1),
                "target": 20,
                "suspect": suspect and suspect.layer,
                "memory_growth_mb": held >> 20,
                "live_peak_of_one_graph_mb": live >> 20,
                "over_one_graph": round(held / live, 2),
                "over_both_graphs": round(held / live / 2, 2),
                "memory_target": 2,
                "segments": segments,
            }
        )
    )


def memory(queue: Any) -> None:
    """Growth of resident memory in a walk over large tensors, and the live tensors' peak of one graph and of both."""
    torch.set_num_threads(1)
    large = np.zeros(1 << 21, np.float32)
    tally(large, large)  # compiling the kernel takes memory once
    inputs = {"x": torch.randn(LARGE_ROWS, WIDTH, generator=torch.Generator().manual_seed(1)).numpy()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        exported(20, LARGE_ROWS).save(str(path))
        reference = TorchReference(Deep().eval(), inputs)
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew from here
        before = resident("VmRSS")
        found = explain(path, reference, inputs)
        queue.put((resident("VmHWM") - before, found.peak_live_bytes, found.segments))


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def in_a_process(function: Any, limit_s: float) -> Any:
    """What a function puts into its queue, from a process of its own; None when the time is up."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=function, args=(queue,))
    process.start()
    try:
        return queue.get(timeout=limit_s)
    except Empty:
        return None
    finally:
        process.kill()


if __name__ == "__main__":
    main()
