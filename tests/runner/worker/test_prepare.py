"""What a preparation keeps is another model's for nobody: exports, given graphs, references."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay.runner.worker.events.event import Event
from assay.runner.worker.events.facts import ArtifactMade, ModelRead, NotMade, WorkloadRecorded
from assay.runner.worker.events.rows import Noticed
from assay.runner.worker.jobs import prepare
from tests.runner.identity.projects import HELPER, job, project
from tests.runner.identity.test_graphs import another_weight, beside

NOISE = {"w": {"inputs": {"x": {"shape": [2, 3]}}, "batches": 2}}


class Told(list[Event]):
    def emit(self, event: Event) -> None:
        self.append(event)

    def one(self, kind: Any) -> Any:
        assert not [event for event in self if isinstance(event, NotMade)], self
        (event,) = [event for event in self if isinstance(event, kind)]
        return event

    def findings(self) -> list[tuple[str, str]]:
        return [(event.kind, event.severity) for event in self if isinstance(event, Noticed)]


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def prepared(folder: Path, location: str = "model.py:net", recipe: str = "export", **changes: Any) -> Told:
    """Everything that a preparation tells, in a process that has seen none of the folder's modules."""
    told, modules, paths = Told(), set(sys.modules), [*sys.path]
    variant = {
        "name": "fp32",
        "recipe": recipe,
        "options": changes.pop("export", {}),
        "base": None,
        "calibration": None,
    }
    given = {
        "workloads": NOISE,
        "golden_names": {name: f"references/{name}" for name in changes.get("workloads", NOISE)},
        "goldens": str(folder / "goldens"),
        "variants": [variant],
        "policies": {"w": {}},
        **changes,
    }
    try:
        prepare.run(job(folder, location, **given), told)
    finally:
        sys.path[:] = paths
        for name in {
            name for name in set(sys.modules) - modules if name == "helper" or name.startswith("_assay_user_")
        }:
            del sys.modules[name]
    return told


def test_an_export_is_made_once_and_anew_when_a_helper_of_the_model_changes(tmp_path: Path):
    folder = project(tmp_path)
    first, second = prepared(folder), prepared(folder)
    assert first.one(ArtifactMade).build_s is not None
    assert second.one(ArtifactMade).build_s is None, "the model is the same: it comes from the cache"
    (folder / "helper.py").write_text(HELPER.replace("2.0", "3.0"))
    third = prepared(folder)
    assert third.one(ArtifactMade).build_s is not None
    assert third.one(ArtifactMade).sha256 != first.one(ArtifactMade).sha256
    assert third.one(ModelRead).sha256 != first.one(ModelRead).sha256
    assert (
        third.one(WorkloadRecorded).golden != first.one(WorkloadRecorded).golden == second.one(WorkloadRecorded).golden
    )


HIDDEN = """
import os
import torch


class Net(torch.nn.Module):
    def forward(self, x):
        return x * float(os.environ["HIDDEN_GAIN"]) + 1


def net():
    return Net()
"""


def test_a_cached_export_of_another_graph_is_not_used_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nothing of the model changes but what its code asks the environment for."""
    folder = project(tmp_path, model=HIDDEN)
    made = []
    for gain in ("2", "3", "2"):
        monkeypatch.setenv("HIDDEN_GAIN", gain)
        made.append(prepared(folder))
    assert len({told.one(ModelRead).sha256 for told in made}) == 1
    files = [told.one(ArtifactMade).sha256 for told in made]
    assert files[0] == files[2] != files[1]
    assert [("another_graph", "warning") in told.findings() for told in made] == [False, True, False]


def test_the_older_exporter_is_held_against_a_trace_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = project(tmp_path, model=HIDDEN)
    found = []
    for gain in ("2", "3"):
        monkeypatch.setenv("HIDDEN_GAIN", gain)
        found.append(prepared(folder, export={"exporter": "legacy"}).findings())
    assert [("another_graph", "warning") in findings for findings in found] == [False, True]


def given(folder: Path, onnx_file: str, rows: int = 2048, **changes: Any) -> Told:
    """A preparation whose reference is an ONNX file."""
    return prepared(
        folder,
        "",
        "given",
        onnx=onnx_file,
        backend="onnxruntime",
        reference="onnxruntime",
        source={"folder": str(folder), "options": {}, "outputs": None, "kind": "onnx", "location": ""},
        workloads={"w": {"inputs": {"x": {"shape": [1, rows]}}, "batches": 2}},
        **changes,
    )


def test_external_data_of_a_given_graph_that_changes_makes_another_model(tmp_path: Path):
    beside(tmp_path)
    first = given(tmp_path, "model.onnx")
    beside(tmp_path, another_weight)
    second = given(tmp_path, "model.onnx")
    assert first.one(ArtifactMade).sha256 != second.one(ArtifactMade).sha256
    assert first.one(ModelRead).sha256 != second.one(ModelRead).sha256
    assert first.one(WorkloadRecorded).reference_sha256 != second.one(WorkloadRecorded).reference_sha256


FACTORY = """
import numpy as np
from onnx import TensorProto, helper as h, numpy_helper

import helper


def graph():
    scale = numpy_helper.from_array(np.array([helper.SCALE], np.float32), "s")
    ports = [h.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    made = h.make_graph([h.make_node("Mul", ["x", "s"], ["y"])], "g", ports[:1], ports[1:], [scale])
    return h.make_model(made, opset_imports=[h.make_opsetid("", 18)], ir_version=9)
"""


def test_a_graph_that_a_factory_makes_is_known_by_what_its_imports_make_of_it(tmp_path: Path):
    folder = project(tmp_path, model=FACTORY)
    first, again = given(folder, "model.py:graph", 4), given(folder, "model.py:graph", 4)
    assert again.one(ArtifactMade).build_s is None
    assert first.one(ModelRead).sha256 == again.one(ModelRead).sha256
    (folder / "helper.py").write_text(HELPER.replace("2.0", "3.0"))
    second = given(folder, "model.py:graph", 4)
    assert first.one(ArtifactMade).sha256 != second.one(ArtifactMade).sha256
    assert first.one(ModelRead).sha256 != second.one(ModelRead).sha256
    held = onnx.numpy_helper.to_array(onnx.load(second.one(ArtifactMade).path).graph.initializer[0])
    assert np.array_equal(held, [3.0])


def test_a_model_with_a_module_and_a_given_graph_is_both(tmp_path: Path):
    """The right side stays; the graph that is held against it is another one."""
    folder = project(tmp_path)
    beside(folder)
    first = prepared(folder, recipe="given", onnx="model.onnx")
    beside(folder, another_weight)
    second = prepared(folder, recipe="given", onnx="model.onnx")
    assert first.one(ModelRead).sha256 != second.one(ModelRead).sha256


def test_an_export_beside_a_given_graph_follows_the_module(tmp_path: Path):
    folder = project(tmp_path)
    beside(folder)
    first = prepared(folder, onnx="model.onnx")
    (folder / "helper.py").write_text(HELPER.replace("2.0", "3.0"))
    assert prepared(folder, onnx="model.onnx").one(ArtifactMade).sha256 != first.one(ArtifactMade).sha256


def test_the_source_of_a_workloads_generator_is_no_part_of_the_model(tmp_path: Path):
    generator = "import numpy as np\n\n\ndef some(seed, batches):\n    yield {'x': np.full((2, 3), 1, np.float32)}\n"
    folder = project(tmp_path, data=generator)
    workloads = {"w": {"generator": "data.py:some"}}
    first = prepared(folder, workloads=workloads)
    (folder / "data.py").write_text(generator.replace("1, np", "2, np"))
    second = prepared(folder, workloads=workloads)
    assert first.one(ModelRead).sha256 == second.one(ModelRead).sha256
    assert first.one(WorkloadRecorded).inputs_sha256 != second.one(WorkloadRecorded).inputs_sha256
