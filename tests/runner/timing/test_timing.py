"""Statistics on made-up timings with known answers, and the protocol on a call whose cost is known."""

from __future__ import annotations

import time

import numpy as np
import pytest

from assay.runner.timing import protocol, statistics


def _launches(random, launches, blocks, calls, *, launch=0.0, block=0.0, call=0.01, rho=0.0):
    """Log-normal timings around 1 ms: what launches, blocks (AR(1)) and calls add, as standard deviations of logs."""
    noise = np.zeros((launches, blocks))
    noise[:, 0] = random.normal(0, block, launches)
    for i in range(1, blocks):
        noise[:, i] = rho * noise[:, i - 1] + random.normal(0, block * np.sqrt(1 - rho**2), launches)
    return np.exp(
        random.normal(0, launch, (launches, 1, 1))
        + noise[:, :, None]
        + random.normal(0, call, (launches, blocks, calls))
    )


def test_the_median_of_hand_worked_samples():
    estimate = statistics.quantile(np.array([[[1.0, 2.0], [3.0, 4.0]]]), 0.5)
    assert (estimate.value, estimate.low, estimate.n) == (2.5, None, 4)


def test_three_launches_give_students_interval_over_their_medians():
    estimate = statistics.quantile(np.array([[[1.0]], [[2.0]], [[4.0]]]), 0.5)
    half = 4.30265 * np.log(2) / np.sqrt(3)  # logs 0, ln 2, 2 ln 2: standard deviation ln 2, t(0.975, 2) = 4.30265
    assert estimate.value == 2.0
    assert (estimate.low, estimate.high) == pytest.approx((2 * np.exp(-half), 2 * np.exp(half)), rel=1e-5)


def test_samples_are_taken_apart_by_launch_and_block():
    samples = statistics.as_samples([1, 2, 3, 4, 5, 6, 7, 8], block_length=2, launches=2)
    assert samples.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    with pytest.raises(ValueError, match="are not 3 launches of blocks of 2"):
        statistics.as_samples([1, 2, 3, 4], block_length=2, launches=3)


def test_no_samples_is_an_error_not_a_number():
    with pytest.raises(ValueError, match="no samples"):
        statistics.quantile(np.empty((1, 0, 3)), 0.5)


def test_the_autocorrelation_of_a_constant_or_short_series_is_none():
    assert statistics.autocorrelation(np.array([2.0, 2.0, 2.0, 2.0, 2.0])) == 0
    assert statistics.autocorrelation(np.array([1.0, 2.0, 3.0])) == 0
    assert statistics.autocorrelation(np.array([1.0, -1.0] * 20)) < -0.9


def test_neighbours_that_resemble_each_other_make_an_interval_wider():
    random = np.random.default_rng(0)
    assert statistics.inflation(np.cumsum(random.normal(0, 1, 200))) > 3
    assert statistics.inflation(random.normal(0, 1, 200)) < 1.2
    assert statistics.inflation(np.array([1.0, -1.0] * 20)) == 1, "it is never made narrower"


@pytest.mark.parametrize(("rho", "least"), [(0.0, 0.90), (0.3, 0.88), (0.6, 0.83)])
def test_the_interval_of_a_median_covers_the_truth_when_blocks_differ_and_follow_each_other(rho, least):
    """Measured over 300: 94, 93 and 88 %; a plain bootstrap of blocks covers 70 % at 0.6, one of calls far less."""
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        estimate = statistics.quantile(_launches(random, 1, 16, 20, block=0.05, rho=rho), 0.5, seed=3)
        inside += estimate.low <= 1 <= estimate.high
    assert inside >= 200 * least


def test_the_same_thing_twice_is_called_different_in_at_most_five_percent_however_its_launches_differ():
    random = np.random.default_rng(2)
    outside = called = 0
    for _ in range(600):
        drift = np.exp(np.repeat(random.normal(0, 0.05, (3, 4)), 2, axis=1))[
            :, :, None
        ]  # the machine, hitting both sides
        a, b = (drift * _launches(random, 3, 8, 10, launch=0.01, block=0.02) for _ in range(2))
        ratio = statistics.paired_ratio(a, b)
        outside += not ratio.low <= 1 <= ratio.high
        called += ratio.outcome(0.02) in ("faster", "slower")
    assert outside <= 600 * 0.07, "2.2 standard errors above 5 %"
    assert called <= 600 * 0.02


def test_one_launch_decides_nothing_because_a_process_has_a_speed_of_its_own():
    random = np.random.default_rng(2)
    outside = 0
    for _ in range(200):
        a, b = (_launches(random, 1, 16, 10, launch=0.02, block=0.005) for _ in range(2))
        ratio = statistics.paired_ratio(a, b)
        outside += not ratio.low <= 1 <= ratio.high
        assert ratio.outcome(0.02) == "not enough evidence"
    assert outside > 200 * 0.3, "this is why: intervals within one launch leave the truth out far too often"


def test_a_real_difference_is_found_through_drift_and_its_size_is_right():
    random = np.random.default_rng(3)
    drift = np.exp(np.repeat(random.normal(0, 0.2, (3, 4)), 2, axis=1))[:, :, None]
    a, b = (scale * drift * _launches(random, 3, 8, 10, block=0.005) for scale in (1.1, 1.0))
    ratio = statistics.paired_ratio(a, b)
    assert ratio.outcome(0.02) == "slower"
    assert ratio.low < 1.1 < ratio.high
    assert ratio.detectable < 0.03


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.5, 0.6, "faster"),
        (1.05, 1.2, "slower"),
        (0.99, 1.01, "equivalent"),
        (0.99, 1.03, "not enough evidence"),
        (0.97, 0.99, "not enough evidence"),
    ],
)
def test_a_ratio_is_one_of_four_things(low, high, outcome):
    assert statistics.Ratio((low * high) ** 0.5, low, high, 12, 3, 0.02).outcome(0.02) == outcome


def test_a_ratio_that_does_not_decide_says_how_many_launches_would():
    undecided = statistics.Ratio(
        1.0, 1 / 1.04, 1.04, 12, 3, 0.05
    )  # twice as wide as the margin: four times the launches
    assert undecided.needed(0.02) == 12
    assert statistics.Ratio(1.2, 1.1, 1.3, 12, 3, 0.05).needed(0.02) is None
    assert statistics.Ratio(1.02, 0.9, 1.156, 12, 3, 0.05).needed(0.02) is None, "on the edge no number decides"


def test_unequal_numbers_of_blocks_cannot_be_paired():
    with pytest.raises(ValueError, match="cannot be paired"):
        statistics.paired_ratio(np.ones((1, 4, 2)), np.ones((1, 3, 2)))


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
