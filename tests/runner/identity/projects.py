"""A user's folder with a model in it, loaded as the preparation of a run loads it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from assay.runner.identity.model import Identity
from assay.runner.identity.places import is_users_code
from assay.runner.worker.job import PrepareJob
from assay.runner.worker.jobs.identity import Model
from assay.runner.worker.jobs.session import open_session

MODEL = """
import json
from pathlib import Path

import numpy as np
import torch

import helper


class Net(torch.nn.Module):
    def __init__(self, gain=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
        self.gain = gain
        self.limits = {"low": -1.0, "high": (1, 2)}
        self.register_buffer("shift", torch.ones(4), persistent=False)
        self.head = lambda x: x + 1

    def forward(self, x):
        return self.head(helper.act(self.body(x)) * self.gain + self.shift)


def net(**options):
    return Net(**options)
"""
HELPER = "SCALE = 2.0\n\n\ndef act(x):\n    return x * SCALE\n"


def job(folder: Path, location: str, options: dict[str, Any] | None = None, **changes: Any) -> PrepareJob:
    """What a worker is told of a model; no workload and no variant of it."""
    source = {
        "folder": str(folder),
        "options": options or {},
        "outputs": None,
        "kind": "factory",
        "location": location,
    }
    given: dict[str, Any] = {
        "backend": "pytorch",
        "options": {},
        "folder": str(folder),
        "source": source,
        "seed": 0,
        "model": "m",
        "version": "artifact",
        "reference": "pytorch",
        "onnx": None,
        "onnx_options": {},
        "export": {},
        "variants": [],
        "workloads": {},
        "golden_names": {},
        "artifacts": str(folder / "artifacts"),
        "given_goldens": {},
        "policies": {},
        "advise": False,
        "max_steps": None,
    }
    return PrepareJob(**{**given, **changes})


@contextmanager
def loaded(job: PrepareJob) -> Iterator[tuple[Model, Any]]:
    """A model in its session, in a process that has seen none of its files; what it loaded is forgotten afterwards."""
    modules, paths = set(sys.modules), [*sys.path]
    importlib.invalidate_caches()
    model = Model(job)
    try:
        with model.with_graph() as asked:
            with model.watched:
                manager = open_session(asked)
                session = manager.__enter__()
            model.read(session)
            yield model, session
    finally:
        sys.path[:] = paths
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file and is_users_code(file):
                del sys.modules[name]


def identity_of(folder: Path, location: str = "model.py:net", **options: Any) -> Identity:
    """The identity of a model that lies in a folder."""
    with loaded(job(folder, location, options)) as (model, _):
        return model.identity()


def project(folder: Path, **files: str) -> Path:
    """A folder with a model and its helper; `files` are named by their stems, and may replace them."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in {"model": MODEL, "helper": HELPER, **files}.items():
        path = folder / f"{stem}.py" if "." not in stem else folder / stem
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
