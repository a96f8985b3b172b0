"""What a suite may ask of each check."""

from __future__ import annotations

import pytest

from assay.runner.errors import UsageError
from assay.runner.suites.checks import CHECKS, Combination, recorded_as, validate_modes
from assay.runner.suites.suite import CaseTable, Variant


def combination(recipe: str, *, kind: str = "onnxruntime") -> Combination:
    return Combination(kind, Variant(recipe=recipe))


def test_only_what_holds_codes_has_a_ledger_and_only_a_static_recipe_a_sensitivity():
    left_out = {
        (check, recipe)
        for check in ("ledger", "sensitivity")
        for recipe in ("export", "given", "onnxruntime-dynamic", "onnxruntime-static")
        if CHECKS[check].refuses(combination(recipe))
    }
    assert left_out == {
        ("ledger", "export"),
        ("ledger", "given"),
        ("sensitivity", "export"),
        ("sensitivity", "given"),
        ("sensitivity", "onnxruntime-dynamic"),
    }
    given_beside_its_original = Variant.model_validate({"recipe": "given", "from": "fp32"})
    assert CHECKS["ledger"].refuses(Combination("onnxruntime", given_beside_its_original)) is None
    assert "'onnxruntime-dynamic' does not quantize node by node" in str(
        CHECKS["sensitivity"].refuses(combination("onnxruntime-dynamic"))
    )
    assert "not at what the tensorrt backend runs" in str(
        CHECKS["ledger"].refuses(combination("onnxruntime-static", kind="tensorrt"))
    )
    assert CHECKS["benchmark"].refuses(combination("export", kind="pytorch")) is None


@pytest.mark.parametrize(
    ("check", "asked", "modes", "names"),
    [
        ("parity", ("closed_loop", "closed_loop", "functional"), ("closed_loop", "functional"), "closed_loop parity"),
        ("benchmark", ("graph+events", "events+graph"), ("events+graph",), "benchmark-events+graph"),
        ("benchmark", (), ("functional",), "benchmark"),
        ("generation", (), ("cached",), "generation"),
        ("generation", ("recomputed",), ("recomputed",), "recomputed"),
        ("consistency", ("closed_loop",), ("functional",), "consistency"),
    ],
)
def test_a_mode_is_kept_once_in_one_spelling_and_names_the_case(
    check: str, asked: tuple[str, ...], modes: tuple[str, ...], names: str
):
    assert CHECKS[check].modes(asked) == modes
    assert " ".join(CHECKS[check].word(check, mode) for mode in modes) == names


def test_every_check_of_a_table_has_to_know_its_modes():
    validate_modes(("parity", "consistency"), ("closed_loop",))
    validate_modes(("benchmark",), ("graph",))
    with pytest.raises(UsageError, match="no mode 'closed_loop' of generation"):
        validate_modes(("parity", "generation"), ("closed_loop",))
    with pytest.raises(UsageError, match="'graph'"):
        validate_modes(("quality",), ("graph",))


def test_a_misspelt_check_is_told_with_the_nearest_one_in_a_suite_and_in_our_own_code():
    for asked in ("party", ["parity", "party"]):
        with pytest.raises(ValueError, match="there is no check 'party'. Did you mean 'parity'?"):
            CaseTable.model_validate({"check": asked, "models": ["line"], "workloads": ["noise"]})
    with pytest.raises(ValueError, match="Did you mean 'ledger'?"):
        recorded_as("leger", [])


def test_the_rows_of_one_check_are_picked_from_all():
    rows = [{"check_kind": "parity", "name": "a"}, {"check_kind": "ledger", "name": "b"}]
    assert recorded_as("ledger", rows) == [rows[1]]


def test_the_schema_for_editors_lists_the_checks_of_the_table():
    shown = CaseTable.model_json_schema()["properties"]["check"]["anyOf"]
    assert shown[0]["enum"] == shown[1]["items"]["enum"] == list(CHECKS)
