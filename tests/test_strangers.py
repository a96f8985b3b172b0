"""Strangers' projects: their folders and packages have our rooms' names, and both go on working."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.conftest import assay
from tests.places import SOURCES

pytestmark = pytest.mark.slow
SUITE = """
name = "theirs"
timeout_s = 60
[model.mine]
onnx = "{onnx}"
[workload.drawn]
generator = "{generator}"
[[case]]
check = "parity"
models = ["mine"]
workloads = ["drawn"]
backends = ["onnxruntime", "plain"]
reference = "onnxruntime"
tolerance = {{ atol = 1e-6, rtol = 0.0 }}
[backend.plain]
kind = "onnxruntime"
options = {{ graph_optimization = "none" }}
"""
MODEL = """
import onnx
from onnx import TensorProto, helper
from runner import FACTOR
from schema.shapes import SHAPE
import dashboard, suite
assert dashboard.WHOSE == suite.WHOSE == "theirs"

def graph():
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)
    by = helper.make_tensor("by", TensorProto.FLOAT, [], [FACTOR])
    node = helper.make_node("Mul", ["x", "by"], ["y"])
    return helper.make_model(helper.make_graph([node], "g", [x], [y], [by]), ir_version=10,
                             opset_imports=[helper.make_opsetid("", 18)])

def inputs(seed, batches, **options):
    import numpy
    generator = numpy.random.default_rng(seed)
    for _ in range(batches):
        yield {"x": generator.normal(size=SHAPE).astype("float32")}
"""


def project(folder: Path) -> None:
    """A project with `runner/`, `schema/`, `dashboard/`, `suite.py`, and a model that imports all of them."""
    for name, text in {"runner": "FACTOR = 3.0\n", "schema": "", "dashboard": 'WHOSE = "theirs"\n'}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(text)
    (folder / "schema" / "shapes.py").write_text("SHAPE = [2, 5]\n")
    (folder / "suite.py").write_text('WHOSE = "theirs"\n')
    (folder / "my_model.py").write_text(MODEL)


@pytest.mark.parametrize("place", ["here", "beside the suite"])
@pytest.mark.parametrize("named", ["my_model.py", "my_model"])
def test_folders_of_our_names_are_the_users_own(tmp_path: Path, place: str, named: str):
    theirs = tmp_path / "project"
    project(theirs)
    (theirs / "mine.toml").write_text(SUITE.format(onnx=f"{named}:graph", generator=f"{named}:inputs"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cwd = theirs if place == "here" else elsewhere
    done = assay("run", theirs / "mine.toml", "--json", db=tmp_path / "a.duckdb", cwd=cwd)
    assert done.code == 0, done.err + done.out
    (case,) = done.document["cases"]
    assert case["verdicts"][0]["outcome"] == "pass"


def test_every_verb_works_in_a_folder_with_our_rooms_names(tmp_path: Path):
    project(tmp_path)
    for arguments in (["list", "suites"], ["suite", "check", "quickstart"], ["--help"]):
        assert assay(*arguments, db=tmp_path / "a.duckdb", cwd=tmp_path).code == 0


def test_suites_of_0_5_0_go_on_working_and_say_the_new_word_once(tmp_path: Path):
    (tmp_path / "old.toml").write_text(
        SUITE.format(onnx="runner.models.scaling:onnx_model", generator="runner.models.scaling:traces").replace(
            "[[case]]", 'options = { regime = "recording", channels = 8, samples = 40 }\n[[case]]'
        )
    )
    done = assay("run", "old.toml", "--json", db=tmp_path / "a.duckdb", cwd=tmp_path)
    assert done.code == 0, done.err
    (note,) = [line for line in done.err.splitlines() if line.startswith("note:")]
    assert "runner.models.scaling:onnx_model is assay.runner.models.scaling:onnx_model now" in note
    assert "(2 names in all)" in note


def test_a_users_own_package_runner_is_not_taken_for_ours(tmp_path: Path):
    (tmp_path / "runner" / "models").mkdir(parents=True)
    (tmp_path / "runner" / "__init__.py").touch()
    (tmp_path / "runner" / "models" / "__init__.py").touch()
    (tmp_path / "runner" / "models" / "scaling.py").write_text(
        MODEL.replace("from runner import FACTOR", "FACTOR = 2.0")
        .replace("from schema.shapes import SHAPE", "SHAPE = [2, 5]")
        .replace("import dashboard, suite\n", "")
        .replace('assert dashboard.WHOSE == suite.WHOSE == "theirs"\n', "")
    )
    (tmp_path / "own.toml").write_text(
        SUITE.format(onnx="runner.models.scaling:graph", generator="runner.models.scaling:inputs")
    )
    done = assay("run", "own.toml", db=tmp_path / "a.duckdb", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "note:" not in done.err


REPORTING = """
import json, sys
import numpy as np
def inputs(seed, batches, **options):
    import marker
    ours = sorted(name for name in ("duckdb", "typer", "streamlit", "pydantic_core") if __import__("importlib.util").util.find_spec(name))
    open(options["out"], "w").write(json.dumps({"executable": sys.executable, "path": sys.path, "marker": marker.__file__,
        "assay": sys.modules["assay"].__path__[0], "ours": ours, "top": [n for n in ("runner", "schema", "dashboard") if n in sys.modules]}))
    yield {"x": np.ones((2, 3), np.float32)}
"""
OTHER = """
name = "elsewhere"
timeout_s = 60
[model.line]
fake = { gain = 2.0 }
[workload.drawn]
generator = "reporting.py:inputs"
options = { out = "OUT" }
[backend.other]
kind = "fake"
python = "PYTHON"
[[case]]
check = "parity"
models = ["line"]
backends = ["other"]
reference = "other"
workloads = ["drawn"]
tolerance = { atol = 0.0, rtol = 0.0 }
"""


def bare_environment(folder: Path, packages: tuple[str, ...]) -> Path:
    """An interpreter of its own that has a package `marker`, the named packages of this one, and nothing of ours."""
    venv.create(folder, with_pip=False)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "marker.py").write_text("")
    for name in packages:
        for source in places_of(name):
            (site / source.name).symlink_to(source)
    return folder / "bin" / "python"


def places_of(name: str) -> list[Path]:
    """Files and folders of an installed package, the libraries beside it included."""
    from importlib.util import find_spec

    found = find_spec(name)
    assert found is not None, name
    assert found.origin is not None, name
    origin = Path(found.origin)
    here = origin.parent if origin.name == "__init__.py" else origin
    libraries = here.parent / f"{name}.libs"
    return [here, *([libraries] if libraries.is_dir() else [])]


@pytest.mark.parametrize("how", ["python", "environment variable"])
def test_a_worker_elsewhere_sees_that_interpreters_packages_and_of_ours_only_assay(tmp_path: Path, how: str):
    other = bare_environment(
        tmp_path / "other",
        (
            "numpy",
            "ml_dtypes",
            "psutil",
            "safetensors",
            "pydantic",
            "pydantic_core",
            "annotated_types",
            "typing_extensions",
            "typing_inspection",
            "pyarrow",
            "zstandard",
            "scipy",
        ),
    )
    out = tmp_path / "seen.json"
    (tmp_path / "reporting.py").write_text(REPORTING)
    text = OTHER.replace("OUT", str(out))
    text = text.replace("PYTHON", str(other)) if how == "python" else text.replace('python = "PYTHON"\n', "")
    (tmp_path / "elsewhere.toml").write_text(text)
    variables = {"ASSAY_ALLOW_CODE": str(other)} if how == "python" else {"ASSAY_PYTHON_FAKE": str(other)}
    assay("run", "elsewhere.toml", db=tmp_path / "a.duckdb", cwd=tmp_path, PYTHONPATH=SOURCES, **variables)
    seen = json.loads(out.read_text())
    assert seen["marker"].startswith(str(tmp_path / "other"))
    assert not set(seen["ours"]) & {"duckdb", "typer", "streamlit"}, "packages of the parent's interpreter leaked in"
    assert seen["top"] == []
    assert sysconfig.get_paths()["purelib"] not in seen["path"]


def test_pypis_package_schema_and_ours_stand_side_by_side(tmp_path: Path):
    """As if `pip install schema` had put PyPI's module beside everything: a user's model imports that one."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "schema.py").write_text('WHOSE = "PyPI"\nclass Schema: pass\n')
    (tmp_path / "my_model.py").write_text(
        MODEL.replace("from runner import FACTOR", "FACTOR = 2.0")
        .replace("from schema.shapes import SHAPE", "from schema import Schema\nSHAPE = [2, 5]")
        .replace("import dashboard, suite\n", "")
        .replace('assert dashboard.WHOSE == suite.WHOSE == "theirs"\n', "")
    )
    (tmp_path / "mine.toml").write_text(SUITE.format(onnx="my_model.py:graph", generator="my_model.py:inputs"))
    path = os.pathsep.join([str(site), SOURCES])
    done = assay("run", "mine.toml", db=tmp_path / "a.duckdb", cwd=tmp_path, PYTHONPATH=path)
    assert done.code == 0, done.err


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `assay` of a fresh environment, installed from the wheel that the source distribution makes."""
    folder = tmp_path_factory.mktemp("installed")
    root = Path(SOURCES).parent
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder / "dist")]
    subprocess.run([*build, "-t", "sdist"], cwd=root, check=True, capture_output=True)
    (packed,) = (folder / "dist").glob("*.tar.gz")
    shutil.unpack_archive(packed, folder, filter="data")
    (unpacked,) = folder.glob("assay-*")
    for place in (root, unpacked):  # from the checkout, and from the source distribution: they hold the same
        subprocess.run(
            [*build[:-1], str(folder / place.name), "-t", "wheel"], cwd=place, check=True, capture_output=True
        )
    direct, wheel = (next((folder / place.name).glob("*.whl")) for place in (root, unpacked))
    assert names_in(direct) == names_in(wheel)
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            f"--python={environment / 'bin' / 'python'}",
            "install",
            "--no-deps",
            "--no-index",
            "--quiet",
            "--disable-pip-version-check",
            str(wheel),
        ],
        check=True,
    )
    site = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "libraries.pth").write_text("\n".join(p for p in sys.path if p.endswith("site-packages")))
    return environment / "bin" / "assay"


def names_in(wheel: Path) -> list[str]:
    import zipfile

    with zipfile.ZipFile(wheel) as archive:
        return sorted(name for name in archive.namelist() if "dist-info" not in name)


def outside(command: Path, *arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command where the checkout cannot be found."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [command, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd, env=env | environment
    )


def test_an_installed_wheel_does_the_quickstart_without_the_checkout(installed: Path, tmp_path: Path):
    python = installed.with_name("python")
    where = subprocess.run(
        [python, "-c", "import assay; print(assay.__file__, assay.__version__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    ).stdout
    assert where.startswith(str(installed.parents[1]))
    assert "unknown" not in where
    project(tmp_path)
    for suite in ("quickstart", "gpt2", "gpu", "known-faults", "text"):
        done = outside(installed, "suite", "check", suite, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    database = tmp_path / "a.duckdb"
    done = outside(installed, "run", "quickstart", "--only", "scaling*", "--json", cwd=tmp_path, ASSAY_DB=str(database))
    assert done.returncode == 0, done.stderr
    shown = outside(installed, "show", "latest", "--json", cwd=tmp_path, ASSAY_DB=str(database))
    assert {v["outcome"] for v in json.loads(shown.stdout)["verdicts"]} == {"pass"}
    assert outside(installed, "list", "policies", cwd=tmp_path, ASSAY_DB=str(database)).returncode == 0


def test_an_installed_dashboard_answers_and_draws_its_pages(installed: Path, tmp_path: Path, history: Path):
    script = (
        "import assay.dashboard, pathlib; from streamlit.testing.v1 import AppTest\n"
        "app = pathlib.Path(assay.dashboard.__file__).with_name('app.py')\n"
        "page = AppTest.from_file(str(app), default_timeout=60).run()\n"
        "assert not page.exception, page.exception\n"
        "print(page.title[0].value)\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [installed.with_name("python"), "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=env | {"ASSAY_DB": str(history)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "Overview"
    from tests.dashboard.conftest import free_port, wait_for

    port = free_port()
    command = [installed, "dashboard", "--port", str(port), "--db", str(history)]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL) as server:
        try:
            assert wait_for(server, f"http://127.0.0.1:{port}").endswith(str(port))
        finally:
            server.terminate()
