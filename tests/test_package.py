"""The wheel, where the checkout cannot be found; and the commands' own children in a folder full of our names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import zstandard

from tests.conftest import fake_suite
from tests.dashboard.conftest import free_port, wait_for
from tests.places import GOLDEN, ROOT

pytestmark = pytest.mark.slow
SITES = [Path(place) for place in sys.path if place.endswith("site-packages")]
"""Where this interpreter has its libraries; `assay` itself is there as an editable install at most."""


def run(python: Path, *arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an interpreter as a user does, without this checkout on its path."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd, env=kept | environment
    )


def site_of(environment: Path) -> Path:
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder), "-t", "wheel"]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel, and the libraries of this one."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_of(environment))
    (site_of(environment) / "libraries.pth").write_text("\n".join(map(str, SITES)))
    return environment / "bin" / "python"


def test_a_wheel_holds_every_file_of_every_room_and_nothing_else(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    rooms = {
        f"assay/{path.relative_to(ROOT)}"
        for room in ("runner", "schema", "dashboard")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    top = {f"assay/{path.name}" for path in (ROOT / "src" / "assay").iterdir() if path.is_file()}
    assert {Path(name).suffix for name in rooms} == {".py", ".sql", ".toml"}
    assert held == rooms | top


def test_an_installed_assay_brings_an_old_database_to_its_schema(installed: Path, tmp_path: Path):
    packed = (GOLDEN / "store-schema-0002.duckdb.zst").read_bytes()
    (tmp_path / "old.duckdb").write_bytes(zstandard.ZstdDecompressor().decompress(packed))
    for arguments in (["db", "migrate"], ["db", "sync"]):
        done = run(installed, "-P", "-m", "assay", *arguments, cwd=tmp_path, ASSAY_DB=str(tmp_path / "old.duckdb"))
        assert done.returncode == 0, done.stderr
    listed = run(
        installed, "-P", "-m", "assay", "list", "runs", "--json", cwd=tmp_path, ASSAY_DB=str(tmp_path / "old.duckdb")
    )
    assert len(json.loads(listed.stdout)) == 2


def test_an_installed_dashboard_has_its_own_theme_wherever_it_is_started(installed: Path, tmp_path: Path):
    script = (
        "import pathlib, assay.dashboard; from streamlit import config\n"
        "config._main_script_path = str(pathlib.Path(assay.dashboard.__file__).with_name('app.py'))\n"
        "config.get_config_options(force_reparse=True)\n"
        "print(config.get_option('theme.light.primaryColor'), assay.__file__)\n"
    )
    done = run(installed, "-c", script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    colour, place = done.stdout.split()
    assert colour in (ROOT / "dashboard" / ".streamlit" / "config.toml").read_text()
    assert Path(place).is_relative_to(installed.parents[1])


REPORTING = """
import importlib.util, json, pathlib, sys
import numpy as np
import assay
FOUND = [name for name in ("marker", "duckdb", "typer", "streamlit") if importlib.util.find_spec(name)]
SEEN = {"found": FOUND, "assay": assay.__file__, "path": sys.path, "top": sorted({n.split(".")[0] for n in sys.modules})}

def inputs(seed, batches, out):
    pathlib.Path(out).write_text(json.dumps(SEEN))
    yield from [{"x": np.ones((2, 3), np.float32)}] * batches
"""
ELSEWHERE = """
name = "elsewhere"
timeout_s = 60
[model.line]
fake = {{ gain = 2.0 }}
[workload.seen]
generator = "reporting.py:inputs"
options = {{ out = "{out}" }}
batches = 1
[backend.other]
kind = "fake"
python = "{python}"
[[case]]
check = "benchmark"
models = ["line"]
backends = ["other"]
reference = "other"
workloads = ["seen"]
timing = {{ rounds = 1, block_ms = 1.0, max_warmup_s = 0.1 }}
"""


def other_interpreter(folder: Path) -> Path:
    """An interpreter that has a package `marker` and what a worker needs.

    It has neither Assay nor what its parent needs.
    """
    venv.create(folder)
    site = site_of(folder)
    (site / "marker.py").touch()
    for entry in (entry for place in SITES for entry in place.iterdir()):
        absent = entry.name.startswith(("assay", "_assay", "duckdb", "_duckdb", "typer", "streamlit"))
        if not absent and entry.suffix != ".pth" and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    return folder / "bin" / "python"


def test_a_worker_elsewhere_gets_assay_and_nothing_else_of_the_environment_that_assay_is_installed_in(
    installed: Path, tmp_path: Path
):
    other, out = other_interpreter(tmp_path / "other"), tmp_path / "seen.json"
    (tmp_path / "reporting.py").write_text(REPORTING)
    (tmp_path / "elsewhere.toml").write_text(ELSEWHERE.format(out=out, python=other))
    command = ["-P", "-m", "assay", "run", "elsewhere.toml", f"--allow-code={other}", "--db", tmp_path / "a.duckdb"]
    done = run(installed, *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    seen = json.loads(out.read_text())
    assert seen["found"] == ["marker"]
    assert seen["assay"] == str(site_of(installed.parents[1]) / "assay" / "__init__.py")
    assert not {str(site_of(installed.parents[1])), *map(str, SITES)} & set(seen["path"])
    assert not {"runner", "schema", "dashboard"} & set(seen["top"])


BREAKS = 'raise RuntimeError("a file of the user\'s was taken for one of ours")\n'
NETWORK = """
import torch
from runner import WIDTH
import schema

def network():
    return schema.Doubled().eval()
"""
THEIRS = """
name = "theirs"
timeout_s = 60
[model.doubled]
pytorch = "network.py:network"
outputs = ["y"]
[workload.noise]
inputs = { x = { shape = [2, 4] } }
batches = 2
[[case]]
check = "parity"
models = ["doubled"]
backends = ["onnxruntime"]
workloads = ["noise"]
reference = "pytorch"
tolerance = { atol = 0.0, rtol = 0.0 }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder whose `assay.py`, `dashboard/`, `app.py` and `suite.py` break when they are taken for ours."""
    for name in ("assay.py", "app.py", "suite.py"):
        (tmp_path / name).write_text(BREAKS)
    for name, text in {
        "runner": "WIDTH = 4\n",
        "schema": "import torch\nclass Doubled(torch.nn.Module):\n    def forward(self, x):\n        return 2 * x\n",
        "dashboard": BREAKS,
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    (tmp_path / "network.py").write_text(NETWORK)
    (tmp_path / "theirs.toml").write_text(THEIRS)
    return tmp_path


def test_a_network_that_imports_the_users_own_runner_and_schema_runs_beside_an_assay_py(installed: Path, project: Path):
    command = ["-P", "-m", "assay", "run", "theirs.toml", "--json", "--db", project / "a.duckdb"]
    done = run(installed, *command, cwd=project)
    assert "taken for one of ours" not in done.stderr + done.stdout
    (case,) = json.loads(done.stdout)["cases"]
    assert case["status"] == "ok", done.stdout


def test_a_night_in_such_a_folder_starts_its_own_runs_by_our_name(installed: Path, project: Path):
    fake_suite(project)
    (project / "nightly.toml").write_text('suites = ["fakes.toml"]\n')
    command = ["-P", "-m", "assay", "nightly", "nightly.toml", "--json", "--db", project / "a.duckdb"]
    done = run(installed, *command, cwd=project)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"] == {"fakes.toml": 0}


def test_the_dashboard_started_in_such_a_folder_is_ours(installed: Path, project: Path):
    port = free_port()
    command = [installed, "-P", "-m", "assay", "dashboard", "--port", str(port), "--db", str(project / "a.duckdb")]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(command, cwd=project, env=kept, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert wait_for(server, f"http://127.0.0.1:{port}")
        finally:
            server.terminate()
        assert "Assay's dashboard" in server.stdout.read()
