"""What is lost against the reference, on the same items, with an interval that covers."""

import numpy as np
import pytest
from scipy import stats

from assay.runner.quality.degradation import Counts, degradation, jackknifed, mcnemar


def shares(right):
    column = np.array(right, float)[:, None]
    return Counts(column, np.ones_like(column))


def test_the_drop_is_the_reference_less_the_candidate():
    made = degradation(shares([1, 0, 0, 1]), shares([1, 1, 0, 1]), better="higher")
    assert made is not None
    assert (made.candidate.value, made.reference, made.drop.value) == (0.5, 0.75, 0.25)
    assert made.relative is not None
    assert made.relative.value == pytest.approx(1 / 3)


def test_more_errors_are_a_drop_too():
    made = degradation(shares([1, 1, 0, 1]), shares([1, 0, 0, 1]), better="lower")
    assert made is not None
    assert made.drop.value == 0.25


def test_equal_answers_leave_open_what_so_few_items_leave_open():
    # Clopper and Pearson: 0 of 300 excludes more than 1 - 0.05^(1/300), nearly 1 %
    made = degradation(shares([1] * 300), shares([1] * 300), better="higher")
    assert made is not None
    assert made.drop.value == 0.0
    assert made.drop.high == pytest.approx(1 - 0.05 ** (1 / 300))
    assert made.drop.low == -made.drop.high


def test_the_interval_covers_as_often_as_it_says():
    random = np.random.default_rng(1)
    covered, trials = 0, 150
    for trial in range(trials):
        right = random.random(400) < 0.9
        mine = np.where(random.random(400) < 0.06, ~right, right)  # one in 17 turns over: 0.9 becomes 0.852
        made = degradation(shares(mine), shares(right), better="higher", seed=trial)
        assert made is not None
        assert made.drop.low is not None
        assert made.drop.high is not None
        covered += made.drop.low <= 0.048 <= made.drop.high
    assert stats.binomtest(covered, trials, 0.95).pvalue > 0.001


def test_pairing_makes_the_interval_narrower_than_two_apart():
    random = np.random.default_rng(0)
    right = random.random(500) < 0.8
    mine = right.copy()
    mine[:5] = ~mine[:5]
    made = degradation(shares(mine), shares(right), better="higher")
    assert made is not None
    assert made.drop.high - made.drop.low < 0.5 * (made.candidate.high - made.candidate.low)


def test_classes_are_averaged_over_those_that_are_there():
    # class 0: 3 of 4, class 1: 1 of 2, class 2: nothing
    counts = Counts(np.array([[3.0, 1.0, 0.0]]), np.array([[4.0, 2.0, 0.0]]))
    assert counts.value() == pytest.approx(0.625)
    assert counts.by_group() == [0.75, 0.5, None]


def test_perplexity_is_the_exponential_of_the_mean_loss():
    counts = Counts(np.array([[2.0], [4.0]]), np.array([[1.0], [2.0]]), exponential=True)
    assert counts.value() == pytest.approx(np.exp(2.0))


def test_no_item_has_no_value():
    empty = Counts(np.zeros((1, 1)), np.zeros((1, 1)))
    assert empty.value() is None
    assert degradation(empty, empty, better="higher") is None


def test_a_reference_of_zero_has_no_relative_loss():
    made = degradation(shares([0, 0, 1]), shares([0, 0, 0]), better="higher")
    assert made is not None
    assert made.relative is None


def test_mcnemar_is_a_fair_coin_over_discordant_items():
    reference = np.array([True] * 8 + [False, False])
    candidate = np.array([False] * 7 + [True, True, False])
    lost, won, p = mcnemar(candidate, reference)
    assert (lost, won) == (7, 1)
    assert p == pytest.approx(2 * (1 + 8) / 2**8)
    assert mcnemar(reference, reference) == (0, 0, 1.0)


def test_the_jackknife_of_a_mean_is_the_standard_error_of_the_mean():
    values = np.random.default_rng(0).normal(size=20)
    mean, error = jackknifed(lambda chosen: float(values[chosen].mean()), 20)
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(20))


def test_one_item_has_no_error():
    assert jackknifed(lambda _: 1.0, 1) == (1.0, None)
