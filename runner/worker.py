"""What runs inside a case's own process: `python -m runner.worker`, a job on stdin, events as JSON lines on stdout.

A benchmark is interactive: after `ready`, every line on stdin is one block to time. Libraries that print cannot disturb
the events: file descriptor 1 is theirs no longer, it goes to stderr.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from runner.backends import Session, Source, load_backend
from runner.errors import AssayError, UsageError
from runner.tensors import Tensors

Job = dict[str, Any]


class Events:
    """The way out: one JSON object a line."""

    def __init__(self) -> None:
        self._stream: TextIO = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def emit(self, event: str, **facts: Any) -> None:
        self._stream.write(json.dumps({"event": event, **facts}, default=str) + "\n")
        self._stream.flush()


_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Ask the kernel to end this process when its parent is gone, however that was killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:  # it was gone before we asked
        sys.exit(1)


def main() -> None:
    """Do one job: read it, run its operation, report; an error is an event, never an exit code."""
    _die_with_parent()
    events = Events()
    job: Job = json.loads(sys.stdin.readline())
    try:
        OPERATIONS[job["op"]](job, events)
        events.emit("done")
    except MemoryError as error:
        events.emit("error", type="MemoryError", message=f"out of memory: {error}", status="crashed")
    except AssayError as error:
        events.emit("error", type=type(error).__name__, message=_plain(error), status="failed")
    except Exception as error:  # noqa: BLE001  a case's failure is a row, whatever it was
        import traceback

        traceback.print_exc()
        events.emit("error", type=type(error).__name__, message=_plain(error), status="failed")


def _plain(error: Exception) -> str:
    """The message without the colours that some libraries put into it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error))[:2000]


def _open(job: Job) -> AbstractContextManager[Session]:
    backend = load_backend(job["backend"])
    source = Source(**{**job["source"], "folder": Path(job["source"]["folder"])})
    if source.kind not in backend.accepts():
        raise UsageError(
            f"backend {job['backend']!r} opens {', '.join(backend.accepts())}; this model is {source.kind}."
        )
    return backend.open_session(source, job["options"])


def _announce(session: Session, events: Events, load_ms: float) -> None:
    """Say what really runs; a silent fallback ends the case.

    Raises:
        UsageError: the session runs elsewhere than it was asked to.
    """
    placement = session.placement()
    events.emit("opened", load_ms=load_ms, **asdict(placement), versions=_versions())
    if placement.fell_back:
        raise UsageError(
            f"silent fallback: {placement.fell_back}. Set allow_fallback = true on the backend to accept it."
        )


def _versions() -> dict[str, str]:
    from runner.environment import library_versions

    return library_versions()


def prepare(job: Job, events: Events) -> None:
    """Load the reference once: hash it, record its outputs for every workload, build the artifacts.

    A workload or a variant that fails is reported, and the others go on; a reference that cannot be loaded ends it.
    """
    if job["source"]["kind"] == "onnx":  # the given file is the reference itself
        job = {**job, "source": {**job["source"], "location": str(_given_base(job))}}
    with _open(job) as session:
        state = session.state_hash()
        version = state[:12] if job["version"] == "artifact" else job["version"]
        parameters = session.parameters() if hasattr(session, "parameters") else (None, None)
        events.emit("model", version=version, sha256=state, parameters=parameters[0], parameter_bytes=parameters[1])
        examples = []
        for name in job["workloads"]:
            try:
                examples.append(_record(job, events, session, name, {"version": version, "state": state}))
            except Exception as error:  # noqa: BLE001  the other workloads go on
                events.emit("failed", workload=name, type=type(error).__name__, message=_plain(error))
        if examples:
            _build_variants(job, events, session, state, examples[0])


def _record(job: Job, events: Events, session: Session, name: str, facts: dict[str, str]) -> Tensors:
    """Keep the reference's outputs for one workload; returns its first batch."""
    from runner.parity import golden
    from runner.suite import Workload
    from runner.workloads import make_batches

    batches = make_batches(
        Workload.model_validate(job["workloads"][name]), seed=job["seed"], folder=Path(job["folder"])
    )
    facts = {**facts, "model": job["model"], "backend": job["reference"], "workload": name}
    steps = ((batch, session.infer(batch)) for batch in batches)
    made = golden.write(Path(job["goldens"]), job["golden_names"][name], facts, steps)
    events.emit("recorded", workload=name, inputs_sha256=made.sha256("inputs"), reference_sha256=made.sha256("outputs"))
    return batches[0]


def _build_variants(job: Job, events: Events, session: Session, state: str, example: Any) -> None:
    from runner.recipes import build as recipes

    base: Path | None = None
    for variant in job["variants"]:
        try:
            origin = _origin(job, state)
            if base is None and variant["recipe"] not in ("given", "export"):
                recipe = "given" if job["onnx"] else "export"
                base = recipes.build(
                    recipe, _ingredients(job, job["export"], session, example, None), origin, Path(job["artifacts"])
                ).path
            made = recipes.build(
                variant["recipe"],
                _ingredients(job, variant["options"], session, example, base),
                origin,
                Path(job["artifacts"]),
            )
        except Exception as error:  # noqa: BLE001  the other variants go on
            events.emit("failed", variant=variant["name"], type=type(error).__name__, message=_plain(error))
            continue
        if variant["recipe"] in ("given", "export") and variant["name"] == "fp32":
            base = made.path
        events.emit("artifact", variant=variant["name"], **asdict(made))


def _origin(job: Job, state: str) -> str:
    """What a recipe starts from, by content: the module's state, or the given file or factory."""
    import hashlib

    if not job["onnx"]:
        return state
    digest = hashlib.sha256(json.dumps([job["onnx"], job["onnx_options"]], sort_keys=True).encode())
    path = (
        Path(job["folder"]) / job["onnx"].rpartition(":")[0]
        if ":" in job["onnx"]
        else Path(job["folder"]) / job["onnx"]
    )
    if path.is_file():
        digest.update(path.read_bytes())
    elif ":" in job["onnx"]:
        from runner.source import load_factory

        module = sys.modules[load_factory(job["onnx"], Path(job["folder"])).__module__]
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def _given_base(job: Job) -> Path:
    from runner.recipes import build as recipes

    made = recipes.build("given", _ingredients(job, {}, None, {}, None), _origin(job, ""), Path(job["artifacts"]))
    return made.path


def _ingredients(job: Job, options: dict[str, Any], session: Any, example: Any, base: Path | None) -> Any:
    from runner.recipes.build import Ingredients

    return Ingredients(
        target=Path(), options=options, example=example, module=getattr(session, "module", None), base=base,
        onnx=job["onnx"], onnx_options=job["onnx_options"], folder=Path(job["folder"]),
        output_names=session.output_names if session else (),
    )  # fmt: skip


def parity(job: Job, events: Events) -> None:
    """Run the candidate on the golden's inputs, step by step, and compare what comes out."""
    from runner.parity import golden
    from runner.parity.functional import Comparison
    from runner.parity.policy import Policy

    expected = golden.read(Path(job["goldens"]), job["golden"])
    comparison = Comparison(Policy.model_validate(job["policy"]), job["rename"])
    started = time.perf_counter()
    with _open(job) as session:
        _announce(session, events, (time.perf_counter() - started) * 1e3)
        for step in range(len(expected.steps)):
            actual = session.infer(expected.inputs(step))
            for receipt in comparison.step(step, expected.outputs(step), actual):
                events.emit("receipt", **receipt)
    for receipt in comparison.merged():
        events.emit("receipt", **receipt)


def benchmark(job: Job, events: Events) -> None:
    """Warm up, then time blocks on command until told to stop."""
    from runner.parity import golden
    from runner.timing.protocol import calls_per_block, timed, warm_up

    expected = golden.read(Path(job["goldens"]), job["golden"])
    inputs = {name: array.copy() for name, array in expected.inputs(0).items()}
    started = time.perf_counter()
    with _open(job) as session:
        _announce(session, events, (time.perf_counter() - started) * 1e3)
        call = session.prepare(inputs)
        timing = job["timing"]
        warm = warm_up(call, timing["max_warmup_s"])
        calls = calls_per_block(warm.typical_ms, timing["block_ms"], timing["min_block_calls"])
        events.emit("ready", **asdict(warm), block_calls=calls)
        for line in sys.stdin:
            if json.loads(line).get("stop"):
                break
            events.emit("block", ms=timed(call, calls))
        events.emit("memory", peak_rss_bytes=peak_rss_bytes())


def peak_rss_bytes() -> int:
    """Largest resident set of this process since it started (VmHWM: ru_maxrss would count its parent's too)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this kernel reports no VmHWM")


OPERATIONS: dict[str, Callable[[Job, Events], None]] = {"prepare": prepare, "parity": parity, "benchmark": benchmark}

if __name__ == "__main__":
    main()
