"""What there is: the lists that `assay list` prints, the state of the store, and what this host can run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Callable
from typing import Any

from assay.runner import environment
from assay.runner.backends import BACKENDS, DISTRIBUTIONS
from assay.runner.errors import EnvironmentMissing
from assay.runner.recipes import VARIANT_RECIPES
from assay.runner.suites.suite import load_suite, shipped_suites
from assay.runner.worker.events.facts import LibraryFound
from assay.runner.worker.job import InstalledJob
from assay.runner.worker.process import Worker, WorkerFailed
from assay.runner.workloads import golden
from assay.schema.errors import StoreError
from assay.schema.metrics import METRICS
from assay.schema.queries import base
from assay.schema.queries import runs as run_queries
from assay.schema.rows import Environment
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.rebuild import kept

Rows = list[dict[str, Any]]


def _suites(_: Store) -> Rows:
    return [{"suite": name, "why": load_suite(path).why} for name, path in shipped_suites().items()]


def _models(_: Store) -> Rows:
    found = {}
    for path in shipped_suites().values():
        for name, model in load_suite(path).model.items():
            found[name] = {"model": name, "versions": ", ".join(model.versions) or model.version, "why": model.why}
    return [*found.values()]


def _backends(_: Store) -> Rows:
    return [
        {"backend": name, "installed": importlib.util.find_spec(library) is not None, "library": library}
        for name, library in DISTRIBUTIONS.items()
    ]


def _recipes(_: Store) -> Rows:
    import ast
    from pathlib import Path

    def first_line(module: str) -> str:
        """The docstring's first line, without importing the libraries of the recipe."""
        spec = importlib.util.find_spec(module)
        assert spec is not None  # noqa: S101  our own module
        return (ast.get_docstring(ast.parse(Path(str(spec.origin)).read_text())) or "").splitlines()[0]

    return [
        {"recipe": name, "what": first_line(recipe.function.partition(":")[0])}
        for name, recipe in VARIANT_RECIPES.items()
    ]


def _metrics(_: Store) -> Rows:
    return [
        {"metric": m.name, "unit": m.unit, "better": m.better, "description": m.description} for m in METRICS.values()
    ]


def _runs(store: Store) -> Rows:
    published = snapshot(store)
    if published is None:
        return []
    with reading(published) as connection:
        found = run_queries.runs(connection, base.Filters(), limit=50)
    names = (
        "run_id",
        "started_at",
        "suite",
        "versions",
        "state",
        "cases",
        "not_ok",
        "passed",
        "failed",
        "vacuous",
        "hardware_class",
    )
    return [{name: row[name] for name in names} for row in found]


def _goldens(store: Store) -> Rows:
    return [golden_row(golden.read(store.goldens, name)) for name in golden.names(store.goldens)]


def golden_row(recorded: golden.Golden) -> dict[str, Any]:
    total, stored = recorded.bytes()
    facts = {name: recorded.facts.get(name) for name in ("model", "version", "workload")}
    return {
        "golden": recorded.name,
        **facts,
        "steps": len(recorded.steps),
        "array_bytes": total,
        "stored_bytes": stored,
    }


def _policies(_: Store) -> Rows:
    from assay.runner.rules.policies import shipped_policies

    return [{"policy": name, "asks": policy.words()} for name, policy in shipped_policies().items()]


def _waivers(store: Store) -> Rows:
    """Waivers in force; an expired one is listed as such, because runs still say that it expired."""
    from assay.runner.run.execute import waivers_of
    from assay.schema.store.spool import now

    return [
        {
            "waiver": w.waiver_id,
            "case": w.case_pattern,
            "output": w.output,
            "premise": w.premise,
            "max_abs": w.max_abs,
            "owner": w.owner,
            "reason": w.reason,
            "expires_at": w.expires_at,
            "state": "expired" if w.expires_at and w.expires_at <= now() else "in force",
        }
        for w in waivers_of(store)
    ]


LISTS: dict[str, Callable[[Store], Rows]] = {
    "suites": _suites, "models": _models, "backends": _backends, "recipes": _recipes, "metrics": _metrics, "runs": _runs,
    "goldens": _goldens, "policies": _policies, "waivers": _waivers,
}  # fmt: skip


def store_status(store: Store) -> dict[str, Any]:
    """What is recorded, waiting and rejected, and how large it is."""
    published = snapshot(store)
    status: dict[str, Any] = {
        "database": str(store.database),
        "database_bytes": store.database.stat().st_size if store.database.exists() else 0,
        "waiting bundles": _count(store.waiting),
        "ingested bundles": _count(store.ingested),
        "rejected bundles": _count(store.rejected),
        "longest_wait_s": _longest_wait_s(store),
        "kept_before_rebuild": [path.name for path in kept(store)],
        "snapshot": published.name if published else None,
        "free_bytes": (
            shutil.disk_usage(next(p for p in (store.database.parent, *store.database.parents) if p.exists())).free
        ),
    }
    if published:
        with reading(published) as connection:
            status["rows"] = run_queries.table_counts(connection)
            status["rejections"] = {row["bundle_id"]: row["reason"] for row in run_queries.rejected(connection)}
    return status


def _longest_wait_s(store: Store) -> float | None:
    """Age of the oldest bundle that waits, by the file system's own clock; None where none does."""
    waiting = [path.stat().st_mtime for path in store.waiting.glob("[!.]*")] if store.waiting.is_dir() else []
    return max(0.0, time.time() - min(waiting)) if waiting else None


def _count(folder: Any) -> int:
    return sum(not path.name.startswith(".") for path in folder.iterdir()) if folder.is_dir() else 0


def doctor(store: Store) -> Rows:
    """Findings about this host: `ok`, `missing` (installable), or `broken` (something is wrong)."""
    host = environment.capture()
    findings: Rows = [
        {
            "what": "host",
            "state": "ok",
            "detail": f"{host.hardware_class}; {host.cpu_features or 'no vector features known'}",
        },
    ]
    if "vnni" not in host.cpu_features and not host.gpu:
        findings.append(
            {
                "what": "INT8",
                "state": "ok",
                "detail": "this CPU has no VNNI: u8s8 kernels may saturate; use reduce_range",
            }
        )
    findings.append(_gpu_finding(host))
    for name in BACKENDS:
        findings.append(_backend_finding(name))
    try:
        published = snapshot(store)
        if published is not None:
            with reading(published):
                pass
        detail = published.name if published else "nothing recorded yet: assay run quickstart"
        findings.append({"what": "store", "state": "ok", "detail": f"{store.database}: {detail}"})
    except StoreError as error:
        findings.append({"what": "store", "state": "broken", "detail": str(error)})
    return findings


def _elsewhere(name: str, python: str) -> dict[str, Any]:
    """What the interpreter that a variable names for a backend says of it."""
    job = InstalledJob(backend=name)
    try:
        with Worker(job, python=python, timeout_s=120) as worker:
            told = worker.until(LibraryFound)
    except WorkerFailed as failure:
        state = "missing" if failure.kind == "EnvironmentMissing" else "broken"
        return {"what": f"backend {name}", "state": state, "detail": f"{python}: {failure.message}"}
    return {"what": f"backend {name}", "state": "ok", "detail": f"{python}: {told.detail}"}


def _gpu_finding(host: Environment) -> dict[str, Any]:
    """The GPU, or why none is known."""
    if host.gpu is None:
        return {"what": "GPU", "state": "missing", "detail": "NVML finds none here (or nvidia-ml-py is not installed)"}
    known = [f"{host.gpu_count} x {host.gpu}", f"driver {host.gpu_driver}", f"CUDA {host.cuda}", host.gpu_clocks]
    return {"what": "GPU", "state": "ok", "detail": ", ".join(part for part in known if part)}


def _backend_finding(name: str) -> dict[str, Any]:
    from assay.runner.backends import load_backend

    if python := os.environ.get(f"ASSAY_PYTHON_{name.upper()}"):
        return _elsewhere(name, python)
    try:
        load_backend(name)
    except EnvironmentMissing as error:
        return {"what": f"backend {name}", "state": "missing", "detail": str(error)}
    library = DISTRIBUTIONS[name]
    return {
        "what": f"backend {name}",
        "state": "ok",
        "detail": f"{library} {environment.library_versions().get(library, '')}",
    }
