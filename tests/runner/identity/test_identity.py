"""A model is everything that its answers depend on: what changes one of them is another model, and nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.runner.identity.model import differing
from assay.runner.identity.values import Hasher
from tests.places import ROOT, SOURCES
from tests.runner.identity.projects import HELPER, MODEL, identity_of, job, loaded, project


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch: pytest.MonkeyPatch):
    """Files change within a second here, which is all that Python's cache of bytecode tells apart."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


CHANGES = {
    "a constant of a helper module": ("helper", "SCALE = 2.0", "SCALE = 3.0"),
    "a function of a helper module": ("helper", "x * SCALE", "x + SCALE"),
    "the model's own source": ("model", "self.gain + self.shift", "self.gain - self.shift"),
    "a plain attribute": ("model", "self.gain = gain", "self.gain = gain * 2"),
    "an attribute inside of another": ("model", '"high": (1, 2)', '"high": (1, 3)'),
    "a function that is an attribute": ("model", "lambda x: x + 1", "lambda x: x + 2"),
    "the structure": ("model", "torch.nn.ReLU())", "torch.nn.GELU())"),
    "a setting of a layer": ("model", "torch.nn.ReLU()", "torch.nn.GELU(approximate='tanh')"),
    "a weight": ("model", "manual_seed(0)", "manual_seed(1)"),
    "a buffer that is kept out of the state": ("model", "torch.ones(4)", "torch.zeros(4)"),
}


@pytest.mark.parametrize(("stem", "before", "after"), CHANGES.values(), ids=CHANGES)
def test_what_an_answer_depends_on_makes_another_model(tmp_path: Path, stem: str, before: str, after: str):
    folder = project(tmp_path / "a")
    was = identity_of(folder)
    path = folder / f"{stem}.py"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    now = identity_of(folder)
    assert was.sha256 != now.sha256
    assert differing(was.parts, now.parts)[0] == f"source {'helper' if stem == 'helper' else 'model.py'}"


def test_values_count_beside_the_text_that_made_them(tmp_path: Path):
    """Attributes, settings and weights that no source of the user's shows: made from options and variables."""
    folder = project(tmp_path, model=MODEL.replace("gain * 2", "gain"))
    plain, louder = identity_of(folder), identity_of(folder, gain=2.0)
    assert {"options", "module ."} <= set(differing(plain.parts, louder.parts))


def test_a_variable_of_the_environment_that_a_function_reads_through_a_constant_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    helper = 'import os\n\nSCALE = float(os.environ["SCALE_OF_MINE"])\n\n\ndef act(x):\n    return x * SCALE\n'
    folder = project(tmp_path, helper=helper)
    found = []
    for scale in ("2", "3", "2"):
        monkeypatch.setenv("SCALE_OF_MINE", scale)
        found.append(identity_of(folder))
    assert found[0].sha256 == found[2].sha256 != found[1].sha256
    assert differing(found[0].parts, found[1].parts) == ["module ."]


def test_a_function_imported_while_the_model_runs_counts(tmp_path: Path):
    """Not at loading: `forward` imports it."""
    lazy = MODEL.replace("import helper\n", "").replace("return self.head", "import helper\n        return self.head")
    folder = project(tmp_path, model=lazy)

    def after_a_call() -> str:
        with loaded(job(folder, "model.py:net")) as (model, session):
            assert "source helper" not in model.identity().parts
            with model.watched:
                session.infer({"x": np.ones((2, 3), np.float32)})
            assert "source helper" in model.identity().parts
            return model.identity().sha256

    was = after_a_call()
    (folder / "helper.py").write_text(HELPER.replace("2.0", "3.0"))
    assert after_a_call() != was


def test_a_helper_that_other_code_has_loaded_before_counts_all_the_same(tmp_path: Path):
    """A workload's generator or a contract may load a module first."""
    folder = project(tmp_path)
    sys.path.insert(0, str(folder))
    try:
        import helper  # noqa: F401

        assert "source helper" in identity_of(folder).parts
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("helper", None)


def test_a_package_counts_with_what_its_modules_import(tmp_path: Path):
    files = {
        "mine/__init__.py": "",
        "mine/net.py": MODEL.replace("import helper", "from .parts import helper"),
        "mine/parts/__init__.py": "",
        "mine/parts/helper.py": HELPER,
    }
    folder = project(tmp_path, **files)
    was = identity_of(folder, "mine.net:net")
    sources = {part for part in was.parts if part.startswith("source")}
    assert sources == {f"source mine{name}" for name in ("", ".net", ".parts", ".parts.helper")}
    (folder / "mine/parts/helper.py").write_text(HELPER.replace("2.0", "3.0"))
    assert identity_of(folder, "mine.net:net").sha256 != was.sha256


def test_a_configuration_that_the_factory_reads_counts(tmp_path: Path):
    reading = "def net():\n    return Net(gain=json.loads((Path(__file__).parent / 'net.json').read_text())['gain'])\n"
    folder = project(tmp_path, model=MODEL.replace("def net(**options):\n    return Net(**options)\n", reading))
    found = []
    for text in ('{"gain": 1, "note": 1}', '{"gain": 1, "note": 2}'):
        (folder / "net.json").write_text(text)
        found.append(identity_of(folder))
    assert differing(found[0].parts, found[1].parts) == ["file net.json"]


def test_a_file_that_the_factory_writes_is_none_of_its_own(tmp_path: Path):
    writing = MODEL + "\n\ndef logged():\n    Path('log.txt').open('a').write('made')\n    return net()\n"
    folder = project(tmp_path, model=writing)
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert identity_of(folder, "model.py:logged").sha256 == identity_of(folder, "model.py:logged").sha256
    finally:
        os.chdir(here)


def test_another_folder_makes_no_other_model(tmp_path: Path):
    model = (
        MODEL + "\n\ndef placed():\n    made = net()\n    made.weights = str(Path(__file__).parent)\n    return made\n"
    )
    first = project(tmp_path / "a", model=model)
    second = Path(shutil.copytree(first, tmp_path / "b" / "deeper"))
    one, two = identity_of(first, "model.py:placed"), identity_of(second, "model.py:placed")
    assert differing(one.parts, two.parts) == []


UNORDERED = """
import torch


class Note:
    pass


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.names = {"one", "two", "three", "four", "five"}
        self.table = {name: len(name) for name in self.names}
        self.note = Note()
        self.note.owner = self.note
        self.call = Net.forward
        self.lock = __import__("threading").Lock()
        self.layer = torch.nn.Linear(2, 2).requires_grad_(False)
        torch.nn.init.ones_(self.layer.weight), torch.nn.init.ones_(self.layer.bias)

    def forward(self, x):
        return self.layer(x)


def net():
    return Net()
"""
ASKED = (
    "from pathlib import Path; from tests.runner.identity.projects import identity_of;"
    " import sys; print(identity_of(Path(sys.argv[1])).sha256)"
)


def test_two_processes_agree_whatever_their_hash_seeds(tmp_path: Path):
    """No order of a set, no address, no name of a folder."""
    folder = project(tmp_path, model=UNORDERED)
    found = {
        subprocess.run(
            [sys.executable, "-c", ASKED, str(folder)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join((SOURCES, str(ROOT)))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


def test_what_cannot_be_seen_into_is_named(tmp_path: Path):
    assert identity_of(project(tmp_path, model=UNORDERED)).unseen == ("_thread:lock",)


def test_the_device_is_no_part_of_a_model():
    hasher = Hasher(Path())
    assert hasher.of("cpu") == hasher.of("cuda:1")
    assert hasher.of("cpu") != hasher.of("CPU")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0), (True, 1), ("1", 1), ([1], (1,)), ({1: 2}, {2: 1}), (0.0, -0.0), (None, "None"),
        (torch.float32, torch.float16), (np.float32(1), np.float64(1)), (np.zeros(2), np.zeros((2, 1))),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)), (torch.ones(2, dtype=torch.bfloat16), torch.ones(2)),
        (lambda x: x + 1, lambda x: x - 1), ([[1], 2], [1, [2]]), (b"ab", "ab"), (frozenset({1}), frozenset({2})),
    ],
)  # fmt: skip
def test_values_that_are_not_the_same_have_other_hashes(one: object, other: object):
    assert Hasher(Path()).of(one) != Hasher(Path()).of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({1, 2, 3}, {3, 2, 1}), (float("nan"), float("nan")),
        (np.arange(6).reshape(2, 3).T, np.asarray(np.arange(6).reshape(2, 3).T, order="C")),
        (torch.arange(6).reshape(2, 3).T, torch.arange(6).reshape(2, 3).T.contiguous()),
        (torch.nn.Parameter(torch.ones(2)), torch.ones(2)),
    ],
)  # fmt: skip
def test_values_that_are_the_same_have_the_same_hash(one: object, other: object):
    assert Hasher(Path()).of(one) == Hasher(Path()).of(other)


def test_what_a_closure_holds_counts():
    def scaled(by: float):
        return lambda x: x * by

    hasher = Hasher(Path())
    assert hasher.of(scaled(1.0)) == hasher.of(scaled(1.0)) != hasher.of(scaled(2.0))
