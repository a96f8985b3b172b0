"""What a suite comes to: every combination is a case, or is named with why it is none."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.runner.errors import UsageError
from assay.runner.suites.case import Expansion, expansion
from assay.runner.suites.suite import MOST_CASES, Suite, load_suite

SUITE = """
name = "s"
[model.mine]
{files}
[workload.random]
inputs = {{ image = {{ shape = [1, 3] }} }}
[variant.int8]
recipe = "onnxruntime-dynamic"
[variant.half]
recipe = "torch-dtype"
{more}
[[case]]
check = {check}
models = ["mine"]
variants = {variants}
backends = {backends}
workloads = ["random"]
"""


def asked(
    folder: Path,
    files: str = 'onnx = "model.onnx"',
    check: str = '["parity", "benchmark"]',
    variants: str = '["fp32", "int8"]',
    backends: str = '["pytorch", "onnxruntime"]',
    more: str = "",
) -> Suite:
    path = folder / "s.toml"
    path.write_text(SUITE.format(files=files, check=check, variants=variants, backends=backends, more=more))
    return load_suite(path)


def names(found: Expansion) -> set[str]:
    return {case.name.replace("mine/", "").replace("/random", "") for case in found.cases}


def reasons(found: Expansion) -> dict[str, str]:
    return {one.name.replace("mine/", "").replace("/random", ""): one.why for one in found.left_out}


def test_a_given_file_is_the_reference_and_its_quantized_variant_is_compared_with_it(tmp_path: Path):
    found = expansion(asked(tmp_path))
    assert names(found) == {"int8/onnxruntime/parity", "fp32/onnxruntime/benchmark", "int8/onnxruntime/benchmark"}
    why = reasons(found)
    assert why["fp32/onnxruntime/parity"] == "it is the reference itself, which the others are compared with"
    assert why["int8/pytorch/parity"].startswith("the model has no `pytorch`")
    assert len(why) == 5
    assert found.unmet == []


def test_every_variant_on_the_references_backend_but_the_references_own_is_compared(tmp_path: Path):
    """A module that is changed on PyTorch, and an export beside a given file, are not the reference."""
    files = 'pytorch = "m.py:f"\nonnx = "model.onnx"'
    half = expansion(asked(tmp_path, files, '"parity"', '["fp32", "half"]'))
    assert names(half) == {"half/pytorch/parity", "fp32/onnxruntime/parity"}
    export = '[variant.exported]\nrecipe = "export"'
    suite = asked(tmp_path, files, '"parity"', '["fp32", "exported"]', '["onnxruntime"]', export)
    found = expansion(
        suite.model_copy(update={"case": (suite.case[0].model_copy(update={"reference": "onnxruntime"}),)})
    )
    assert names(found) == {"exported/onnxruntime/parity"}
    assert reasons(found).keys() == {"fp32/onnxruntime/parity"}


def test_a_reference_that_nothing_is_compared_with_stays_and_will_be_vacuous(tmp_path: Path):
    for backends in ('["onnxruntime"]', '["pytorch", "onnxruntime"]'):
        found = expansion(asked(tmp_path, variants='["fp32"]', backends=backends))
        assert "fp32/onnxruntime/parity" in names(found)


def test_a_check_of_which_nothing_is_left_is_unmet_and_says_why(tmp_path: Path):
    found = expansion(asked(tmp_path, backends='["pytorch"]', check='"parity"'))
    assert (found.cases, len(found.left_out)) == ([], 2)
    (unmet,) = found.unmet
    assert unmet.words == (
        "case 1 asks for parity of 'mine', and nothing of it can be done: the model has no `pytorch`, which is all that"
        " the pytorch backend opens"
    )
    ledger = expansion(asked(tmp_path, check='["benchmark", "ledger"]', variants='["fp32"]'))
    assert [(one.model, one.check) for one in ledger.unmet] == [("mine", "ledger")]


def test_a_part_of_what_is_asked_holds_only_what_that_part_leaves_out(tmp_path: Path):
    found = expansion(asked(tmp_path, check='["benchmark", "ledger"]', variants='["fp32"]'))
    benchmarks = found.only(lambda name: name.endswith("benchmark"))
    assert (len(benchmarks.cases), benchmarks.unmet) == (1, [])
    assert len(found.only(lambda name: name.endswith("ledger")).unmet) == 1


@given(
    files=st.sampled_from(
        ['onnx = "m.onnx"', 'pytorch = "m.py:f"', 'pytorch = "m.py:f"\nonnx = "m.onnx"', "fake = {}"]
    ),
    checks=st.lists(
        st.sampled_from(["parity", "benchmark", "consistency", "ledger", "quality"]), min_size=1, unique=True
    ),
    variants=st.lists(st.sampled_from(["fp32", "int8", "half"]), min_size=1, unique=True),
    backends=st.lists(st.sampled_from(["pytorch", "onnxruntime", "fake"]), min_size=1, unique=True),
)
def test_no_combination_disappears(
    tmp_path_factory: pytest.TempPathFactory, files: str, checks: list[str], variants: list[str], backends: list[str]
):
    """Cases and what is left out are together everything that was asked for, each once."""
    suite = asked(tmp_path_factory.mktemp("s"), files, str(checks), str(variants), str(backends))
    found = expansion(suite)
    told = [case.name for case in found.cases] + [one.name for one in found.left_out]
    wanted = [f"mine/{v}/{b}/random/{check}" for check, v, b in product(checks, variants, backends)]
    assert sorted(told) == sorted(wanted)
    met = {case.check for case in found.cases}
    assert {one.check for one in found.unmet} == set(checks) - met
    references = [case for case in found.cases if case.check == "parity" and case.is_reference]
    assert not references or all(case.is_reference for case in found.cases if case.check == "parity")


def test_a_suite_of_too_many_cases_is_refused_with_what_it_multiplies_before_one_is_made(tmp_path):
    backends = str(["pytorch"] * 1_000).replace("'", '"')
    suite = asked(tmp_path, variants=str(["fp32"] * 450).replace("'", '"'), backends=backends, check='"parity"')
    words = r"450000 cases up to case 1 \(1 models x 1 workloads x 450 variants x 1000 backends x 1 checks"
    with pytest.raises(UsageError, match=words):
        expansion(suite)


def test_cases_of_all_tables_count_together(tmp_path):
    suite = asked(tmp_path)
    many = suite.model_copy(update={"case": suite.case[:1] * (MOST_CASES // 8)})
    assert len(expansion(many).cases) + len(expansion(many).left_out) == MOST_CASES
    with pytest.raises(UsageError, match=f"asks for {MOST_CASES + 8} cases"):
        expansion(many.model_copy(update={"case": (*many.case, suite.case[0])}))
