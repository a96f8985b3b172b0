"""`assay diff`: whole numbers exactly or in units, and rules of the field by a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.runner.errors import UsageError
from assay.runner.parity.diff import diff_files
from assay.runner.reports.console import number, worst_pair
from assay.runner.rules.policy import Judgement, Policy
from tests.conftest import assay


def judged(folder: Path, expected: Any, actual: Any, **asked: Any) -> Judgement:
    """The judgement on one array of a .npy file; `units` beside what a policy takes."""
    units = asked.pop("units", None)
    for name, array in (("x", expected), ("y", actual)):
        np.save(folder / f"{name}.npy", np.asarray(array))
    return diff_files(folder / "x.npy", folder / "y.npy", Policy(**asked), units=units)["array"][1]


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (np.array([50256, 31000, 12]), np.array([50257, 31000, 12])),
        (np.array([2**53 + 1, 7]), np.array([2**53, 7])),
        (np.array([200, 255], np.uint8), np.array([201, 255], np.uint8)),
        (np.array([2**64 - 1, 5], np.uint64), np.array([0, 5], np.uint64)),
        (np.array([-(2**63), 5]), np.array([2**63 - 1, 5])),
        (np.array([True, False]), np.array([True, True])),
    ],
)
def test_whole_numbers_that_differ_fail_at_any_tolerance(tmp_path: Path, expected: Any, actual: Any):
    assert judged(tmp_path, expected, actual, atol=1e3, rtol=1.0).outcome == "fail"
    assert judged(tmp_path, expected, expected).outcome == "pass"


def test_units_are_how_far_whole_numbers_may_be_apart(tmp_path: Path):
    assert judged(tmp_path, [5, 9], [6, 8], units=1).outcome == "pass"
    assert judged(tmp_path, [5, 9], [7, 8], units=1).outcome == "fail"
    assert judged(tmp_path, [5.0, 9.0], [6.0, 8.0], units=1).outcome == "fail", "they are no distance of floats"


def test_the_sides_of_a_cut_at_pi_are_the_same_angle_by_a_policy(tmp_path: Path):
    angles = np.float32([3.1415925, -3.1415925, 0.1])
    entry = {"array": {"rule": "angle", "period": 6.283185307179586}}
    assert judged(tmp_path, angles, -angles + np.float32([0, 0, 0.2]), outputs=entry).outcome == "pass"
    assert judged(tmp_path, angles, -angles + np.float32([0, 0, 0.2])).outcome == "fail"


def test_a_rule_by_an_array_that_is_not_in_the_file_is_an_error(tmp_path: Path):
    with pytest.raises(UsageError, match="no other output of the reference: there are none"):
        judged(tmp_path, [1, 2], [2, 1], outputs={"array": {"rule": "order", "by": "scores"}})


def test_the_command_takes_a_policy_and_shows_whole_numbers_in_all_their_digits(tmp_path: Path):
    np.save(tmp_path / "x.npy", np.array([1_790_000_000, 2**62 + 5]))
    np.save(tmp_path / "y.npy", np.array([1_790_000_000, 2**62]))
    done = assay("diff", "x.npy", "y.npy", "--atol", 100, cwd=tmp_path)
    assert done.code == 1
    assert "4611686018427387909" in done.out
    assert "4611686018427387904" in done.out
    (tmp_path / "set.toml").write_text("[outputs.array]\natol = 5\n")
    assert assay("diff", "x.npy", "y.npy", "--policy", "set.toml", cwd=tmp_path).code == 0
    assert assay("diff", "x.npy", "y.npy", "--units", 4, cwd=tmp_path).code == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [(20001.0, "20001"), (1_790_000_100.0, "1790000100"), (9999.0, "9999"), (20001.5, "2e+04"), (2.0**60, "1.153e+18")],
)
def test_a_whole_number_is_shown_whole_as_far_as_a_double_holds_it(value: float, shown: str):
    assert number(value) == shown


def test_the_worst_pair_is_shown_as_it_was_recorded():
    assert worst_pair({"worst_pair": '["7", "8"]'}) == {"worst_expected": "7", "worst_actual": "8"}
    assert worst_pair({"worst_pair": None}) == worst_pair({}) == {}
