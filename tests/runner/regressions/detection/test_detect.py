"""Changes of a series with known answers, what must not be called a change, and what a nightly job may know."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.runner.regressions.detection.detect import Rule, as_log, changes, known_tonight
from assay.runner.regressions.detection.evidence import weigh, without_excursions
from assay.runner.regressions.detection.partition import candidates, kernel_cost, optimal_partition
from tests.places import ROOT

RNG = np.random.default_rng(7)


def noisy(levels: list[tuple[int, float]], noise: float = 0.01, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return [float(level * np.exp(noise * rng.normal())) for count, level in levels for _ in range(count)]


def test_the_cost_of_a_segment_is_its_scatter_in_the_kernels_space():
    y = np.array([0.0, 0.0, 1.0])
    cost = kernel_cost(y, 1.0)  # median squared distance of the pairs (0, 1, 1) is 1, so the kernel is exp(-d^2)
    far = np.exp(-1.0)
    assert cost[0, 2] == pytest.approx(0.0)
    assert cost[0, 3] == pytest.approx(3 - (3 + 2 + 4 * far) / 3)
    assert cost[1, 3] == pytest.approx(2 - (2 + 2 * far) / 2)
    assert cost[2, 2] == np.inf


def test_the_partition_is_the_cheapest_there_is():
    y = RNG.normal(size=9) + np.repeat([0.0, 3.0, -2.0], 3)
    cost, penalty = kernel_cost(y, 1.0), 0.8

    def total(cuts: tuple[int, ...]) -> float:
        bounds = [0, *cuts, len(y)]
        return float(sum(cost[i, j] for i, j in pairwise(bounds))) + penalty * len(cuts)

    every = [tuple(i for i in range(1, 9) if mask >> i & 1) for mask in range(0, 512, 2)]
    allowed = [cuts for cuts in every if all(j - i >= 2 for i, j in zip((0, *cuts), (*cuts, 9), strict=True))]
    assert tuple(optimal_partition(cost, penalty, 2)) == min(allowed, key=total)


def test_a_step_is_found_where_it_is_with_its_size_and_direction():
    (found,) = changes(noisy([(15, 10.0), (15, 11.0)]), better="lower")
    assert found.index == 15
    assert found.low < 1.1 < found.high
    assert found.ratio == pytest.approx(1.1, rel=0.01)
    assert found.regression
    (better,) = changes(noisy([(15, 10.0), (15, 9.0)]), better="lower")
    assert better.regression is False
    (neither,) = changes(noisy([(15, 10.0), (15, 9.0)]), better="neither")
    assert neither.regression is None


def test_a_regression_and_its_repair_are_two_changes():
    assert [c.index for c in changes(noisy([(12, 5.0), (10, 5.5), (12, 5.0)]))] == [12, 22]


@pytest.mark.parametrize(
    "values",
    [
        noisy([(30, 10.0)]),
        [3.0] * 20,
        [1.0, 2.0],
        [],
        noisy([(14, 10.0), (2, 15.0), (14, 10.0)]),
        [10.0 * 1.004**i for i in range(40)],
        noisy([(20, 10.0), (20, 10.05)]),
    ],
    ids=["noise", "constant", "two points", "nothing", "two nights away and back", "a drift", "half a percent"],
)
def test_what_is_no_step_is_not_called_one(values: list[float]):
    assert changes(values) == []


def test_one_wild_night_neither_makes_a_change_nor_hides_one():
    values = noisy([(15, 10.0), (15, 11.0)])
    values[5], values[22] = 40.0, 35.0
    assert [c.index for c in changes(values)] == [15]


def test_nothing_is_compared_across_a_change_of_the_environment():
    values = noisy([(12, 10.0), (12, 14.0)])
    assert [c.index for c in changes(values)] == [12]
    assert changes(values, environment=["a"] * 12 + ["b"] * 12) == []
    later = noisy([(12, 10.0), (12, 14.0), (12, 16.0)])
    assert [c.index for c in changes(later, environment=["a"] * 12 + ["b"] * 24)] == [24]


def test_many_samples_of_one_night_are_no_further_nights():
    values = noisy([(8, 10.0), (2, 10.3)], noise=0.004, seed=3)
    many = [[value] * 200 for value in values]
    assert [c.index for c in changes(values, samples=many)] == [c.index for c in changes(values)]
    wide = [list(value * np.exp(0.2 * np.random.default_rng(i).normal(size=9))) for i, value in enumerate(values)]
    assert changes(values, samples=wide) == [], "a night that does not know its own value by this much proves nothing"


def test_a_nightly_job_waits_for_a_second_night_and_then_knows():
    values = noisy([(20, 10.0), (8, 12.0)])
    first_known = next(k for k in range(2, 29) if known_tonight(values[:k]))
    assert known_tonight(values[:21]) == [], "one night is no level"
    assert 22 <= first_known <= 23
    assert [c.index for c in known_tonight(values)] == [20]


def test_what_a_job_knew_of_an_earlier_environment_it_still_knows():
    values = noisy([(12, 10.0), (12, 12.0), (6, 30.0)])
    assert [c.index for c in known_tonight(values, environment=["a"] * 24 + ["b"] * 6)] == [12]


def test_values_at_or_below_zero_are_taken_relative_to_their_size():
    y = as_log([-2.0, 0.0, 2.0])
    np.testing.assert_allclose(y, [-1.0, 0.0, 1.0])
    zeros = [0.0] * 10 + [4.0] * 10
    (found,) = changes(zeros)
    assert (found.index, found.regression) == (10, True)


@pytest.mark.parametrize("values", [[1.0, float("nan")] * 5, [float("inf"), 1.0, 2.0, 3.0]])
def test_a_value_that_is_not_finite_is_refused(values: list[float]):
    with pytest.raises(ValueError, match="not finite: leave the night out"):
        changes(values)
    with pytest.raises(ValueError, match="3 values and 2 samples"):
        changes([1.0, 2.0, 3.0], samples=[[1.0], [2.0]])


def test_an_excursion_that_comes_back_is_taken_out_and_one_that_does_not_stays():
    y = np.array([0.0] * 5 + [1.0] * 3 + [0.05] * 5)
    assert without_excursions(y, [5, 8], 4, 1.0) == []
    assert without_excursions(y, [5, 8], 2, 1.0) == [5, 8]
    assert without_excursions(np.array([0.0] * 5 + [1.0] * 3 + [2.0] * 5), [5, 8], 4, 1.0) == [5, 8]


def test_noise_that_depends_on_itself_weakens_the_evidence():
    independent = RNG.normal(size=40)
    walk = np.zeros(40)
    for i in range(1, 40):
        walk[i] = 0.8 * walk[i - 1] + 0.6 * RNG.normal()
    step = np.repeat([0.0, 1.5], 20)
    assert weigh(independent + step, [20], 0.0)[0].p_value < 1e-3
    assert weigh(walk + step, [20], 0.0)[0].p_value > weigh(independent + step, [20], 0.0)[0].p_value


def test_a_long_history_is_walked_in_windows_and_every_step_is_found_once():
    values = noisy([(700, 10.0), (700, 11.0), (900, 9.5)])
    assert [c.index for c in changes(values)] == [700, 1400]
    assert candidates(np.zeros(3000), 0.6, 2, 1.0) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.1, 1e6), min_size=4, max_size=40), st.floats(0.01, 1e4))
def test_the_unit_of_a_figure_does_not_matter(values: list[float], unit: float):
    plain, scaled = (as_log([value * factor for value in values]) for factor in (1.0, unit))
    np.testing.assert_allclose(np.diff(plain), np.diff(scaled), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=0, max_size=60), st.sampled_from(["lower", "higher", "neither"]))
def test_any_series_has_an_answer_and_it_is_the_same_twice(values: list[float], better: str):
    found = changes(values, better=better)
    assert found == changes(values, better=better)
    assert [c.index for c in found] == sorted({c.index for c in found})
    assert all(0 < c.index < len(values) for c in found)
    assert all(c in range(len(values)) for c in (one.index for one in known_tonight(values, better=better)) if values)


def command(lines: list[Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return subprocess.run(
        [sys.executable, "-m", "assay", "detect", "--jsonl", *arguments],
        input=text,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=120,
    )


def test_the_command_answers_a_line_for_a_line():
    step, calm = noisy([(15, 10.0), (15, 11.0)]), noisy([(30, 10.0)])
    done = command([{"id": "a", "values": step, "better": "higher"}, {"id": "b", "values": calm, "samples": None}])
    assert done.returncode == 0, done.stderr
    a, b = (json.loads(line) for line in done.stdout.splitlines())
    assert (a["id"], a["changes"], a["directions"], a["evidence"][0]["kind"]) == ("a", [15], ["up"], "improvement")
    assert a["evidence"][0]["interval"][0] < a["evidence"][0]["ratio"] < a["evidence"][0]["interval"][1]
    assert (b["id"], b["changes"]) == ("b", [])
    late = command([{"id": "a", "values": step[:16]}], "--online")
    assert json.loads(late.stdout)["changes"] == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1 is not valid JSON"),
        ({"id": "a"}, "line 1 is no series"),
        ({"id": "a", "values": ["x"]}, "a value of series 'a' is not a number"),
        ({"id": "a", "values": [1, 2], "better": "more"}, "better is lower, higher or neither, not 'more'"),
        ({"id": "a", "values": [1, 2, 3], "samples": [[1]]}, "there are 3 values and 1 samples"),
        ('{"id": "a", "values": [1, NaN]}', "not finite"),
    ],
)
def test_a_line_that_is_no_series_is_told(line: Any, message: str):
    done = command([line])
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_on_stdin_measured_nothing():
    assert command([]).returncode == 4


def test_a_rule_is_its_settings():
    assert Rule() == Rule()
    assert changes(noisy([(15, 10.0), (15, 11.0)]), rule=Rule(floor=0.2)) == []
