"""Who may load what, seen from fresh interpreters; and that our import names are ours."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import assay
from tests.places import ROOT

ML = {"torch", "onnxruntime", "onnx", "tensorrt", "onnxscript", "polygraphy"}
UI = {"streamlit", "plotly"}


def loaded(*modules: str) -> set[str]:
    """Top-level names of everything that is imported with these modules; of ours, the room too: `assay.runner`."""
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    names = [name.split(".") for name in done.stdout.split()]
    return {parts[0] for parts in names} | {".".join(parts[:2]) for parts in names if parts[0] == "assay"}


@pytest.mark.parametrize(
    ("modules", "never"),
    [
        (
            ("assay.schema.rows", "assay.schema.queries", "assay.schema.store.ingest"),
            ML | UI | {"typer", "assay.runner", "assay.dashboard", "pandas"},
        ),
        (("assay.runner.cli.app",), ML | UI | {"assay.dashboard", "numpy", "duckdb", "pydantic", "rich", "pyarrow"}),
        (
            ("assay.runner.run.execute", "assay.runner.reports.console", "assay.runner.cli.catalogue"),
            ML | UI | {"assay.dashboard"},
        ),
        (("assay.runner.worker.main",), ML | UI | {"assay.dashboard", "duckdb", "pyarrow", "rich", "typer"}),
        (
            ("assay.dashboard.figures.parity", "assay.dashboard.figures.trends", "assay.dashboard.tables.parity"),
            ML | {"streamlit", "duckdb", "assay.runner", "assay.schema"},
        ),
        (("assay.dashboard.data", "assay.dashboard.filters"), ML | {"assay.runner"}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_a_module_loads_when_it_is_imported_alone(modules: tuple[str, ...], never: set[str]):
    assert loaded(*modules) & never == set()


def test_help_loads_no_heavy_library():
    code = (
        "import sys; sys.argv = ['assay', '--help']\ntry:\n    from assay.runner.cli.app import main; main()\nexcept"
        " SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {name.split(".")[0] for name in done.stderr.split()} & (ML | UI | {"numpy", "duckdb", "pydantic"}) == set()


def test_everything_of_ours_is_imported_under_one_name():
    """PyPI has packages called schema, runner and dashboard, and users have folders of those names."""
    assert Path(assay.__file__).is_relative_to(ROOT)
    assert loaded("assay.runner.cli.app") & {"schema", "runner", "dashboard"} == set()


def test_pages_ask_draw_and_show_and_do_nothing_else():
    for page in (ROOT / "dashboard" / "views").glob("[a-z]*.py"):
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
    return found - set(sys.stdlib_module_names) - {"assay"}


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
