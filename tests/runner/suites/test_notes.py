"""What a suite says and does not get is a note, and what it gets is none."""

from __future__ import annotations

from pathlib import Path

from assay.runner.suites.case import expansion
from assay.runner.suites.notes import notes
from assay.runner.suites.suite import load_suite

SUITE = """
name = "s"
[model.used]
pytorch = "m.py:f"
[model.forgotten]
onnx = "m.onnx"
[workload.random]
inputs = { x = { shape = [1, 3] } }
[variant.int8]
recipe = "onnxruntime-dynamic"
"""


def told(folder: Path, *tables: str) -> dict[str, str]:
    path = folder / "s.toml"
    path.write_text(
        SUITE + "".join(f'[[case]]\nmodels = ["used"]\nworkloads = ["random"]\n{table}\n' for table in tables)
    )
    suite = load_suite(path)
    return {note.about: note.text for note in notes(suite, expansion(suite))}


def test_what_no_case_names_is_said(tmp_path: Path):
    found = told(tmp_path, 'check = "parity"')
    assert found.keys() == {"model forgotten", "variant int8"}
    assert found["model forgotten"] == "no case names it, so it is never used"


def test_a_benchmark_without_what_its_ratios_are_over_is_said(tmp_path: Path):
    compared = 'check = ["parity", "benchmark"]\nvariants = ["fp32", "int8"]'
    without = told(tmp_path, f'{compared}\nbackends = ["onnxruntime"]')["case 1"]
    assert "no ratio of 'used' on 'random' (benchmark): its reference pytorch is not timed" in without
    assert "case 1" not in told(tmp_path, f'{compared}\nbackends = ["pytorch", "onnxruntime"]')
    assert "case 1" not in told(tmp_path, f'{compared}\nagainst = "fp32/onnxruntime"')


def test_what_is_timed_and_never_compared_is_said(tmp_path: Path):
    timed = 'check = "benchmark"\nvariants = ["fp32", "int8"]\nbackends = ["pytorch", "onnxruntime"]'
    found = told(tmp_path, timed, 'check = "parity"')
    assert found["used/int8"] == "it is timed, and no case compares what it computes with anything"
    assert "used/fp32" not in found


def test_modes_that_no_check_has_and_workloads_beside_a_golden_are_said(tmp_path: Path):
    found = told(tmp_path, 'check = "consistency"\nmodes = ["closed_loop"]', 'check = "parity"\ngolden = "g"')
    assert found["case 1"] == "modes = [closed_loop] changes nothing: consistency has no modes"
    assert found["case 2"].startswith("golden 'g' has its own inputs: workloads = [random] are names only")


def test_two_cases_of_one_name_are_said(tmp_path: Path):
    found = told(tmp_path, 'check = "parity"', 'check = "parity"\npolicy = "general"')
    assert found["used/fp32/onnxruntime/random/parity"].startswith("2 cases have this name")
