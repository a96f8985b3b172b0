"""Statistics on made-up timings with known answers, and the protocol on a call whose cost is known."""

from __future__ import annotations

import time

import numpy as np
import pytest

from runner.timing import protocol, statistics


def test_the_median_of_hand_worked_samples():
    estimate = statistics.quantile(np.array([[1.0, 2.0], [3.0, 4.0]]), 0.5)
    assert (estimate.value, estimate.low, estimate.n) == (2.5, None, 4)


def test_blocks_leave_an_unfinished_one_out():
    assert statistics.blocks_of(np.arange(7.0), 3).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_no_samples_is_an_error_not_a_number():
    with pytest.raises(ValueError, match="no samples"):
        statistics.quantile(np.empty((0, 3)), 0.5)


def test_the_interval_of_a_median_covers_the_truth_when_blocks_differ():
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        blocks = 10 + random.normal(0, 0.5, (16, 1)) + random.normal(0, 0.1, (16, 20))
        estimate = statistics.quantile(blocks, 0.5, seed=3)
        inside += estimate.low <= 10 <= estimate.high
    assert inside >= 200 * 0.86, (
        "calls of one block resemble each other; treating them as independent covers about 40 %"
    )


def test_two_runs_of_the_same_thing_are_called_different_in_about_five_percent():
    random = np.random.default_rng(2)
    called = 0
    for _ in range(400):
        drift = np.repeat(random.normal(0, 0.05, 8), 2)[:, None]  # the machine, hitting both sides of a round
        a, b = (np.exp(drift + random.normal(0, 0.02, (16, 1)) + random.normal(0, 0.01, (16, 10))) for _ in range(2))
        called += statistics.paired_ratio(a, b).outcome != "not distinguishable"
    assert called <= 400 * 0.075


def test_a_real_difference_is_found_through_drift_and_its_size_is_right():
    random = np.random.default_rng(3)
    drift = np.repeat(random.normal(0, 0.2, 8), 2)[:, None]
    a, b = (scale * np.exp(drift + random.normal(0, 0.005, (16, 10))) for scale in (1.1, 1.0))
    ratio = statistics.paired_ratio(a, b)
    assert ratio.outcome == "slower"
    assert ratio.low < 1.1 < ratio.high
    assert ratio.detectable < 0.02


def test_unequal_numbers_of_blocks_cannot_be_paired():
    with pytest.raises(ValueError, match="cannot be paired"):
        statistics.paired_ratio(np.ones((4, 2)), np.ones((3, 2)))


def test_warm_up_goes_on_while_calls_get_faster_and_ends_when_they_settle():
    assert not protocol.is_steady([10, 8, 6])
    assert not protocol.is_steady([10, 9.9, 9.7, 9.5, 9.3][1:])
    assert protocol.is_steady([50, 10, 10.1, 9.9, 10.05])


def test_the_first_calls_cost_is_kept_apart_and_warm_up_has_an_end():
    costs = iter([0.05] + [0.001] * 10_000)
    warm = protocol.warm_up(lambda: time.sleep(next(costs)), max_s=3)
    assert warm.first_ms >= 50
    assert warm.typical_ms < 10
    never = protocol.warm_up(lambda: time.sleep(np.random.default_rng().uniform(0, 0.03)), max_s=0.2)
    assert never.seconds < 2


def test_a_block_is_as_long_as_asked_and_never_empty():
    assert protocol.calls_per_block(1.0, 50, 3) == 50
    assert protocol.calls_per_block(500.0, 50, 3) == 3
    assert protocol.calls_per_block(0.0, 50, 3) == 100_000
