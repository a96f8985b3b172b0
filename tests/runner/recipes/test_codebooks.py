"""A codebook is judged by what it promises before any model is run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from assay.runner.errors import UsageError
from assay.runner.recipes.codebooks import decode, encode, problems, scheme_named, schemes

SOUND = sorted(set(schemes()) - {"lut8-inverse"})
WEIGHTS = arrays.arrays(np.float32, (3, 128), elements=st.floats(-100, 100, width=32))


def test_lut8_stores_a_weight_as_code_and_sign():
    # max 0.5: code = round(0.1098 / 0.5 * 254) + 1 = 57, value = -(56 / 254) * 0.5
    weight = np.array([[0.5, -0.1098, 0.0]], np.float32)
    coded = encode(weight, scheme_named("lut8"))
    assert coded.codes.tolist() == [[255, 57, 1]]
    assert coded.signs is not None
    assert coded.signs.tolist() == [[1, -1, 1]]
    np.testing.assert_allclose(decode(coded, scheme_named("lut8")), [[0.5, -56 / 254 * 0.5, 0.0]], atol=1e-7)


def test_lut8_has_the_errors_that_its_authors_measured():
    weight = np.random.default_rng(0).uniform(-0.0996, 0.0996, (768, 3072)).astype(np.float32)
    error = np.abs(decode(encode(weight, scheme_named("lut8")), scheme_named("lut8")) - weight)
    assert error.mean() == pytest.approx(0.000098, abs=1e-6)
    assert error.max() == pytest.approx(0.000196, abs=1e-6)


def test_the_first_version_of_lut8_is_caught_without_a_model():
    found = " ".join(problems(scheme_named("lut8-inverse")))
    assert "not monotone" in found
    assert "0.001969 is its bound" in found


def test_it_does_to_a_weight_what_its_bug_report_saw():
    # 256 / 0.1098 is clamped to code 255, which decodes to 256 / 255
    coded = encode(np.array([[-0.1098]], np.float32), scheme_named("lut8-inverse"), scale=256.0)
    assert coded.codes[0, 0] == 255
    assert decode(coded, scheme_named("lut8-inverse"))[0, 0] == pytest.approx(-1.0039, abs=1e-4)


@pytest.mark.parametrize("name", SOUND)
def test_every_other_codebook_keeps_its_promises(name):
    assert problems(scheme_named(name)) == []


@pytest.mark.parametrize("name", SOUND)
@given(weight=WEIGHTS)
def test_no_error_is_beyond_the_bound(name, weight):
    scheme = scheme_named(name)
    coded = encode(weight, scheme)
    error = np.abs(decode(coded, scheme).astype(float) - weight)
    groups = coded.scales.shape[1]
    per_group = error.reshape(3, groups, -1).max(axis=2)
    assert (per_group <= coded.scales * scheme.stated_bound() * (1 + 1e-5) + 1e-30).all()


def test_a_sign_apart_is_a_ninth_bit():
    assert scheme_named("lut8").true_bits((768, 3072)) == pytest.approx(9 + 32 / (768 * 3072))
    assert scheme_named("nf4").true_bits((768, 3072)) == 4 + 32 / 64


def test_blocks_that_do_not_divide_a_row_still_decode():
    weight = np.random.default_rng(0).normal(size=(2, 100)).astype(np.float32)
    back = decode(encode(weight, scheme_named("nf4")), scheme_named("nf4"))
    assert np.abs(back - weight).max() <= np.abs(weight).max() * scheme_named("nf4").stated_bound()


def test_a_layer_of_zeros_comes_back_as_zeros():
    for name in SOUND:
        assert not decode(encode(np.zeros((2, 64), np.float32), scheme_named(name)), scheme_named(name)).any()


def test_a_weight_that_is_not_finite_is_refused():
    with pytest.raises(UsageError, match="not finite"):
        encode(np.array([[np.nan]], np.float32), scheme_named("lut8"))


def test_an_unknown_codebook_names_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'lut8'"):
        scheme_named("lut9")
