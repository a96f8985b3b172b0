"""Whether calibration data are enough is read from each batch's extremes."""

import numpy as np
import pytest

from assay.runner.models import digits, language, lines, shapes
from assay.runner.quality.ranges import learnt, looks_drawn


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


@pytest.mark.parametrize(
    ("kind", "draw"),
    [
        ("normal", lambda random: random.standard_normal((16, 3, 32, 32)).astype(np.float32)),
        ("uniform", lambda random: random.uniform(-1, 1, (64, 128)).astype(np.float32)),
        ("uniform", lambda random: random.integers(0, 50_257, (8, 256))),
    ],
)
def test_drawn_numbers_are_told_from_data(kind, draw):
    told = [looks_drawn(draw(np.random.default_rng(seed))) for seed in range(20)]
    assert told.count(kind) >= 17


@pytest.mark.parametrize(
    "data",
    [
        lambda: next(digits.test_batches(0, 1, 64))["image"],
        lambda: next(lines.lines(0, 1, 32))["image"],
        lambda: next(shapes.scenes(0, 1, 4))["image"],
        lambda: next(language.passages(0, 1, 64))["input_ids"],
        lambda: np.sin(np.linspace(0, 500, 16_000)).astype(np.float32)[None],
    ],
)
def test_images_text_and_sound_are_data(data):
    assert looks_drawn(data()) is None


def test_what_cannot_be_judged_is_not():
    assert looks_drawn(np.zeros((10, 10))) is None
    assert looks_drawn(np.ones((64, 64))) is None
    assert looks_drawn(np.full((64, 64), np.nan)) is None
