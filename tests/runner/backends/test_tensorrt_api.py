"""Every call and enumeration of TensorRT that Assay uses exists in the real bindings of 10 and 11.

They import without a GPU against libraries of
nine empty functions (`make bindings`).
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.runner.recipes import RECIPES
from tests.places import ROOT, SOURCES
from tests.tensorrt_double import double

BINDINGS = ROOT / ".bindings"
OURS = [
    ROOT / "runner" / "backends" / "tensorrt_build.py",
    ROOT / "runner" / "backends" / "tensorrt_engine.py",
    ROOT / "runner" / "backends" / "tensorrt_debug.py",
]
GUARDED = {("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH")}
"""Asked for by `hasattr` before it is used."""


def described(version: str) -> Any:
    return json.loads((double.FIXTURES / f"api-{version}.json").read_text())


def in_real_bindings(version: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    if not (BINDINGS / version).is_dir():
        pytest.skip("the bindings are not here: make bindings")
    path = os.pathsep.join([str(BINDINGS / version), SOURCES, str(ROOT)])
    env = {**os.environ, "LD_LIBRARY_PATH": str(BINDINGS / "libraries"), "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=env, check=False, timeout=120
    )


@pytest.mark.parametrize("version", double.VERSIONS)
def test_the_double_has_what_the_real_bindings_have(version: str):
    done = in_real_bindings(version, "-m", "tests.tensorrt_double.describe")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == described(version)


@pytest.mark.parametrize("version", double.VERSIONS)
def test_our_files_import_with_the_real_bindings_and_derive_from_their_classes(version: str):
    script = (
        "import sys, tensorrt_bindings; sys.modules['tensorrt'] = tensorrt_bindings\nimport torch\nfrom"
        " assay.runner.backends import tensorrt_build, tensorrt_debug, tensorrt_engine\nlog = tensorrt_build.Log();"
        " log.log(tensorrt_bindings.ILogger.Severity.ERROR, 'x'); assert log.errors =="
        " ['x']\ntensorrt_engine.LayerTimes().report_layer_time('a', 1.0)\ntensorrt_engine.Allocator(None,"
        " torch.float32)\ntensorrt_debug.Listener(lambda *_: None)\nprint(tensorrt_bindings.__version__)"
    )
    done = in_real_bindings(version, "-c", script)
    assert done.stdout.strip() == version, done.stderr


def chains(path: Path) -> set[tuple[str, ...]]:
    """Every `trt.A.B` of a file as (A, B)."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value  # noqa: PLW2901
        if isinstance(node, ast.Name) and node.id == "trt" and names:
            found.add(tuple(reversed(names)))
    return found


@pytest.mark.parametrize("version", double.VERSIONS)
def test_every_word_for_compatible_hardware_is_one_of_tensorrts(version: str):
    words = RECIPES["tensorrt"].options["hardware"].words({})
    assert {word.upper() for word in words} == set(described(version)["enums"]["HardwareCompatibilityLevel"])


@pytest.mark.parametrize("version", double.VERSIONS)
@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_every_name_that_is_written_down_exists(path: Path, version: str):
    api = described(version)
    module = double.make(version)
    for names in chains(path):
        assert hasattr(module, names[0]), names
        if len(names) > 1 and names[0] in api["enums"]:
            assert names[1] in api["enums"][names[0]] or names in GUARDED, names
        elif len(names) > 1 and names[1] not in ("__init__", "Severity"):
            assert names[1] in api["classes"][names[0]], names
    assert chains(path)


def test_the_double_refuses_what_the_real_bindings_would():
    eleven = double.make("11.4.0.106")
    assert not hasattr(eleven.BuilderFlag, "FP16")
    assert hasattr(double.make("10.16.1.11").BuilderFlag, "FP16")

    class Log(eleven.ILogger):  # type: ignore[name-defined,misc]
        def log(self, severity: Any, msg: str) -> None: ...

    builder = eleven.Builder(Log())
    with pytest.raises(AttributeError, match="'Builder' of TensorRT 11.4.0.106 has no 'platform_has_fast_fp16'"):
        builder.platform_has_fast_fp16  # noqa: B018
    config = builder.create_builder_config()
    with pytest.raises(TypeError, match="set_memory_pool_limit takes"):
        config.set_memory_pool_limit(eleven.MemoryPoolType.WORKSPACE, bytes=3)
    with pytest.raises(AttributeError, match="num_optimization_profiles cannot be set"):
        config.num_optimization_profiles = 2
    with pytest.raises(AttributeError, match="cannot be set in TensorRT"):
        config.workspace = 3

    class Silent(eleven.ILogger):  # type: ignore[name-defined,misc]
        def __init__(self) -> None: ...

    with pytest.raises(AssertionError, match="__init__ was not called"):
        eleven.Builder(Silent())
