"""What a suite names runs only where it lies beside the suite, is Assay's, or somebody allowed it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from assay.runner import permission
from assay.runner.errors import UsageError
from assay.runner.source import load_factory
from tests.conftest import assay

SUITE = """
name = "hostile"
[model.m]
fake = {{ gain = 2.0 }}
contract = "{named}"
contract_options = {{ {options} }}
[workload.w]
inputs = {{ x = {{ shape = [2, 3] }} }}
[[case]]
check = "parity"
models = ["m"]
workloads = ["w"]
backends = ["fake"]
"""


@pytest.fixture(autouse=True)
def nothing_is_allowed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv(permission.VARIABLE, "")


@pytest.mark.parametrize(
    "named",
    [
        "os:system",
        "subprocess:getoutput",
        "assay.runner.worker.process:Worker",
        "assay.runner.source:load_factory",
        "assay:subprocess",
        "assay.runner.models.silero_vad:Path",
        "../outside.py:make",
        "link.py:make",
        "linked:make",
        "linkedpackage.inner:make",
        "inner.linked:make",
    ],
)
def test_what_is_neither_beside_the_suite_nor_assays_is_refused_with_the_flag_that_allows_it(
    named: str, tmp_path: Path
):
    suite, ran = tmp_path / "suite", tmp_path / "ran"
    text = f"open({str(ran)!r}, 'w')\ndef make(): return 1\n"
    (suite / "inner").mkdir(parents=True)
    (tmp_path / "outside.py").write_text(text)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "inner.py").write_text(text)
    for link in ("link.py", "linked.py", "inner/linked.py"):
        (suite / link).symlink_to(tmp_path / "outside.py")
    (suite / "linkedpackage").symlink_to(tmp_path / "package")
    with pytest.raises(UsageError, match="--allow-code="):
        load_factory(named, suite)
    assert not ran.exists()


def test_a_file_beside_the_suite_that_has_the_name_of_another_module_does_not_lend_it_its_leave(tmp_path: Path):
    (tmp_path / "subprocess.py").write_text("def getoutput(): return 'mine'\n")
    with pytest.raises(UsageError, match="--allow-code=subprocess"):
        load_factory("subprocess:getoutput", tmp_path)
    assert load_factory("subprocess.py:getoutput", tmp_path)() == "mine"


def test_a_package_is_allowed_by_its_name_and_only_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(permission.VARIABLE, "posixpath, json")
    assert load_factory("json.decoder:JSONDecoder", tmp_path)
    with pytest.raises(UsageError, match="--allow-code=jsonschema|importing"):
        load_factory("jsonschema:validate", tmp_path)
    with pytest.raises(UsageError, match="--allow-code=subprocess"):
        load_factory("subprocess:getoutput", tmp_path)


def test_flags_anywhere_are_taken_out_and_are_inherited(monkeypatch: pytest.MonkeyPatch):
    left = permission.take_flags(["run", "--allow-code=a", "s.toml", "--allow-code=/b c", "--", "--allow-code"])
    assert left == ["run", "s.toml", "--", "--allow-code"]
    assert os.environ[permission.VARIABLE] == "a,/b c"
    assert permission.flags() == " --allow-code=a '--allow-code=/b c'"
    monkeypatch.setenv(permission.VARIABLE, "")
    assert permission.take_flags(["run", "--allow-code"]) == ["run"]
    assert permission.may_import("anything")
    with pytest.raises(UsageError, match="names nothing"):
        permission.take_flags(["--allow-code="])


def test_a_command_in_a_suite_is_not_run_and_with_the_flag_it_is(tmp_path: Path):
    ran, suite = tmp_path / "ran", tmp_path / "hostile.toml"
    suite.write_text(SUITE.format(named="subprocess:getoutput", options=f'cmd = "touch {ran}"'))
    refused = assay("run", suite, db=tmp_path / "a.duckdb")
    assert refused.code != 0
    assert "--allow-code=subprocess" in " ".join((refused.out + refused.err).split())
    assert not ran.exists()
    assay("run", suite, "--allow-code=subprocess", db=tmp_path / "a.duckdb")
    assert ran.exists()


def test_an_interpreter_that_a_suite_names_is_a_program_that_somebody_has_to_allow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    program = str(tmp_path / "bin" / "python")
    with pytest.raises(UsageError, match="--allow-code="):
        permission.require_program(program)
    permission.require_program(sys.executable)
    monkeypatch.setenv("ASSAY_PYTHON_FAKE", program)
    permission.require_program(program)
    monkeypatch.delenv("ASSAY_PYTHON_FAKE")
    monkeypatch.setenv(permission.VARIABLE, str(tmp_path))
    permission.require_program(program)


def test_a_file_that_unpickles_is_opened_where_it_or_its_folder_was_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "link.pt2").symlink_to("/etc/hostname")
    monkeypatch.setenv(permission.VARIABLE, str(tmp_path))
    assert permission.may_open(tmp_path / "m.pt2")
    assert not permission.may_open(tmp_path / "link.pt2")
    assert not permission.may_open(tmp_path.with_name(tmp_path.name + "x") / "m.pt2")
