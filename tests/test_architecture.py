"""Who may load what, seen from fresh interpreters; and that our import names are ours."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dashboard
import runner
import schema

ROOT = Path(__file__).resolve().parent.parent
ML = {"torch", "onnxruntime", "onnx", "tensorrt", "onnxscript", "polygraphy"}
UI = {"streamlit", "plotly"}


def loaded(*modules: str) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("modules", "never"),
    [
        (("schema.rows", "schema.queries", "schema.ingest"), ML | UI | {"typer", "runner", "dashboard", "pandas"}),
        (("runner.cli",), ML | UI | {"dashboard", "numpy", "duckdb", "pydantic", "rich", "pyarrow"}),
        (("runner.execute", "runner.report", "runner.catalogue"), ML | UI | {"dashboard"}),
        (("runner.worker",), ML | UI | {"dashboard", "duckdb", "pyarrow", "rich", "typer"}),
        (
            ("dashboard.figures", "dashboard.figures_parity", "dashboard.tables"),
            ML | {"streamlit", "duckdb", "runner", "schema"},
        ),
        (("dashboard.data", "dashboard.filters"), ML | {"runner"}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_a_module_loads_when_it_is_imported_alone(modules: tuple[str, ...], never: set[str]):
    assert loaded(*modules) & never == set()


def test_help_loads_no_heavy_library():
    code = "import sys; sys.argv = ['assay', '--help']\ntry:\n    from runner.cli import main; main()\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {name.split(".")[0] for name in done.stderr.split()} & (ML | UI | {"numpy", "duckdb", "pydantic"}) == set()


def test_our_import_names_are_ours():
    """PyPI has packages called schema, runner and dashboard; one of them installed over ours would be found first."""
    for package in (schema, runner, dashboard):
        assert Path(package.__file__).is_relative_to(ROOT)


def test_pages_ask_draw_and_show_and_do_nothing_else():
    for page in (ROOT / "dashboard" / "views").glob("*.py"):
        text = page.read_text()
        defined = [
            node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)
        ]
        assert not defined, f"{page.name} defines {defined[0]}"
        code = [line for line in text.splitlines() if line.strip()]
        assert len(code) <= 48, f"{page.name} has {len(code)} lines"
        assert (
            "select " not in text.lower().replace("select one run", "").replace("select two", "") or "st.select" in text
        )


def test_no_page_module_hides_a_package():
    names = {path.stem for path in (ROOT / "dashboard").glob("*.py")}
    assert not names & {"schema", "runner", "dashboard"}


def test_nothing_unpickles():
    for path in [*ROOT.glob("runner/**/*.py"), *ROOT.glob("schema/**/*.py"), *ROOT.glob("dashboard/**/*.py")]:
        text = path.read_text()
        assert "import pickle" not in text, path
        assert "allow_pickle=True" not in text, path
        assert "weights_only=False" not in text, path


def imported(path: Path) -> set[str]:
    """Top-level names of everything a file imports, deferred imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"schema", "runner", "dashboard"}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("schema", ()),
        (
            "runner",
            (
                "compiled",
                "pytorch",
                "onnxruntime",
                "onnxruntime-gpu",
                "tensorrt",
                "models",
                "gpt2",
                "quality",
                "dashboard",
            ),
        ),
        ("dashboard", ("dashboard",)),
    ],
)
def test_every_library_that_is_imported_is_declared(folder: str, extras: tuple[str, ...]):
    """What happens to be installed for another reason (click, through streamlit) is not there in another image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]
    names = {re.split(r"[=<>~!]", line)[0].replace("-", "_") for line in declared}
    aliases = {"scikit_learn": "sklearn", "nvidia_ml_py": "pynvml", "pillow": "PIL", "onnxruntime_gpu": "onnxruntime"}
    known = {aliases.get(name, name) for name in names} | {
        "nemo"
    }  # in an environment of its own; without it, a clear error
    pinned = (ROOT / "constraints-quantizers.txt").read_text()
    elsewhere = {"modelopt_script.py": {"modelopt"}}  # run by the quantizers' interpreter alone
    assert "nvidia-modelopt==" in pinned
    for path in (ROOT / folder).rglob("*.py"):
        assert imported(path) - elsewhere.get(path.name, set()) <= known, path
