"""Whether calibration data are enough is read from each batch's extremes."""

from runner.quality.ranges import learnt


def test_a_range_that_is_there_from_the_start_is_settled_at_once():
    found = learnt([(-1.0, 1.0), (-0.5, 0.9), (-0.2, 0.3)])
    assert found is not None
    assert (found.low, found.high, found.settled_at) == (-1.0, 1.0, 1)


def test_a_range_that_still_grows_is_not():
    found = learnt([(0.0, 1.0), (0.0, 2.0), (0.0, 3.0)])
    assert found is not None
    assert found.settled_at == 3


def test_one_batch_that_makes_most_of_a_range_is_named():
    # without batch 1 the range is [0, 1] of [0, 10]: nine tenths are its doing
    found = learnt([(0.0, 1.0), (0.0, 10.0), (0.0, 0.9)])
    assert found is not None
    assert (found.widest_batch, round(found.influence, 12)) == (1, 0.9)


def test_two_batches_that_reach_as_far_decide_nothing_alone():
    found = learnt([(0.0, 10.0), (0.0, 10.0), (0.0, 0.9)])
    assert found is not None
    assert found.influence == 0.0


def test_a_single_batch_is_all_of_its_range():
    found = learnt([(0.0, 2.0)])
    assert found is not None
    assert (found.settled_at, found.influence) == (1, 1.0)


def test_nothing_has_no_range():
    assert learnt([]) is None
    constant = learnt([(3.0, 3.0), (3.0, 3.0)])
    assert constant is not None
    assert constant.influence == 0.0
