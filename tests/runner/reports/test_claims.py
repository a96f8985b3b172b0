"""Sentences with ratios, and rows that bear them out or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.runner.errors import NothingMeasured, UsageError
from assay.runner.reports.claimed import of_interval
from assay.runner.reports.claims import check, parse


@pytest.mark.parametrize(
    ("sentence", "kind", "ratio", "workload"),
    [
        ("int8 is 1.69x faster than fp32", "latency", 1 / 1.69, None),
        ("INT8 is 1.69\u00d7 faster than FP32 on context-64.", "latency", 1 / 1.69, "context-64"),
        ("bitsandbytes is 0.52x slower than fp32", "latency", 0.52, None),
        ("int8 is 20% faster than fp32", "latency", 1 / 1.2, None),
        ("int8 is 50.3% smaller than fp32", "size", 0.497, None),
        ("fp32 is 2 times larger than int8", "size", 2.0, None),
        ("int8/onnxruntime uses 2x less memory than fp32/pytorch", "memory", 0.5, None),
        ("int8 is at least 2x faster than fp32 on w", "latency", 0.5, "w"),
        ("int8 is at most 5% slower than fp32", "latency", 1.05, None),
        ("int8 is as fast as fp32 on w", "latency", 1.0, "w"),
        ("int8 runs at the same speed as fp32", "latency", 1.0, None),
        ("int8 is the same size as fp32", "size", 1.0, None),
        ("int8 uses as much memory as fp32", "memory", 1.0, None),
    ],
)
def test_a_claim_is_read_as_a_ratio_of_the_first_to_the_second(sentence, kind, ratio, workload):
    claim = parse(sentence)
    assert (claim.kind, claim.workload) == (kind, workload)
    assert claim.ratio == pytest.approx(ratio)
    assert claim.low <= claim.ratio <= claim.high


@pytest.mark.parametrize(
    "sentence", ["int8 is faster than fp32", "int8 is 0x faster than fp32", "int8 is 120% smaller than fp32", ""]
)
def test_a_claim_that_states_nothing_that_can_be_checked_is_refused(sentence):
    with pytest.raises(UsageError):
        parse(sentence)


def _row(variant, value, **changes):
    samples = [value * (1 + 0.001 * (i % 3)) for i in range(24)]
    return {
        "case_id": variant,
        "model": "m",
        "variant": variant,
        "backend": "onnxruntime",
        "workload": "w",
        "check_kind": "benchmark",
        "mode": "interleaved",
        "metric": "latency_p50_ms",
        "value": value,
        "low": value * 0.99,
        "high": value * 1.01,
        "n": 24,
        "launches": 3,
        "samples": samples,
        "block_length": 4,
        "group_id": "g",
        "comparability": "model=m; workload=w:1; hardware=h",
        "provenance": "measured",
        **changes,
    }


def test_a_claim_holds_when_what_was_measured_is_written_so():
    (found,) = check(parse("int8 is 2x faster than fp32"), [_row("fp32", 10.0), _row("int8", 5.0)])
    assert (found.verdict, found.ratio) == ("holds", pytest.approx(0.5))
    assert "claimed 2x" in found.reason


def test_a_claim_that_the_rows_contradict_says_what_they_say():
    (found,) = check(parse("int8 is 1.69x faster than fp32"), [_row("fp32", 10.0), _row("int8", 5.0)])
    assert found.verdict == "contradicted"
    assert "measured 2x faster" in found.reason


def _timed(sentence, low, high, value=None):
    """A claim on two cases that were timed apart, whose ratio has this interval in the claim's direction."""
    value = value or (low * high) ** 0.5
    half = (high / low) ** 0.5
    apart = {"samples": None, "group_id": None}
    int8 = _row("int8", 1 / value, low=1 / value / half, high=1 / value * half, **apart)
    (found,) = check(parse(sentence), [_row("fp32", 1.0, low=1.0, high=1.0, **apart), int8])
    return found


@pytest.mark.parametrize(
    ("sentence", "low", "high", "verdict"),
    [
        ("int8 is 5x faster than fp32", 1.47, 4.58, "not enough evidence"),  # contains 4.5, and everything else
        ("int8 is 5x faster than fp32", 2.3, 2.9, "contradicted"),
        ("int8 is 5x faster than fp32", 4.6, 5.4, "holds"),
        ("int8 is 2x faster than fp32", 2.28, 2.32, "holds"),  # written with one digit it is 2
        ("int8 is 2x faster than fp32", 1.5, 2.5, "not enough evidence"),
        ("int8 is 2.00x faster than fp32", 1.9, 2.1, "holds"),
        ("int8 is 2.00x faster than fp32", 2.01, 2.05, "contradicted"),
        ("int8 is 2.00x faster than fp32", 1.7, 2.1, "not enough evidence"),
        ("int8 is 5% faster than fp32", 0.99, 1.11, "not enough evidence"),  # it may not be faster at all
        ("int8 is 5% faster than fp32", 1.04, 1.06, "holds"),
        ("int8 is at least 2x faster than fp32", 2.0, 9.0, "holds"),
        ("int8 is at least 2x faster than fp32", 1.99, 9.0, "not enough evidence"),
        ("int8 is at least 2x faster than fp32", 1.0, 1.99, "contradicted"),
        ("int8 is more than 20% faster than fp32", 1.21, 1.5, "holds"),
        ("int8 is at most 3x faster than fp32", 1.0, 2.9, "holds"),
        ("int8 is at most 3x faster than fp32", 2.0, 3.1, "not enough evidence"),
        ("int8 is at most 3x faster than fp32", 3.1, 4.0, "contradicted"),
        ("int8 is as fast as fp32", 0.95, 1.05, "holds"),
        ("int8 is as fast as fp32", 0.95, 1.2, "not enough evidence"),
        ("int8 is as fast as fp32", 1.3, 1.4, "contradicted"),
    ],
)
def test_a_claim_holds_where_the_interval_is_narrow_about_it(sentence, low, high, verdict):
    found = _timed(sentence, low + 1e-9, high - 1e-9)
    assert found.verdict == verdict, found.reason


def test_what_is_not_enough_says_what_was_measured_and_what_it_would_take():
    found = _timed("int8 is 5x faster than fp32", 1.47, 4.58, value=2.6)
    assert found.reason == (
        "measured 2.6x faster [1.47, 4.59], claimed 5x: about 4 launches would decide (the whole interval in [4.5, 5.5])"
    )
    at_least = _timed("int8 is at least 2x faster than fp32", 1.9, 2.3)
    assert "claimed at least 2x: about 14 launches would decide" in at_least.reason


@given(
    st.floats(0.05, 20), st.floats(1.0, 10.0), st.sampled_from(["{}x faster", "at least {}x faster", "at most {}x faster"]),
    st.integers(2, 99),
)  # fmt: skip
def test_what_holds_is_never_farther_from_the_claim_than_its_digits_or_a_tenth(low, wide, words, tenths):
    """Whatever the interval: where a claim holds, no value of it would be told in other words."""
    sentence = f"int8 is {words.format(tenths / 10)} than fp32"
    stated, high = parse(sentence).stated, low * wide
    if of_interval(stated, low, high) != "holds":
        return
    if "least" in words:
        assert low >= tenths / 10
    elif "most" in words:
        assert high <= tenths / 10
    else:
        assert min(stated.low, stated.figure / 1.1) <= low <= high <= max(stated.high, stated.figure * 1.1)


@given(st.floats(0.05, 20), st.floats(1.0, 10.0), st.integers(11, 99))
def test_a_narrower_interval_inside_never_turns_what_holds_into_its_contrary(low, wide, tenths):
    stated, high = parse(f"int8 is {tenths / 10}x faster than fp32").stated, low * wide
    middle = (low * high) ** 0.5
    inner = of_interval(stated, (low * middle) ** 0.5, (middle * high) ** 0.5)
    if of_interval(stated, low, high) == "contradicted":
        assert inner == "contradicted"


def test_other_threads_are_not_compared_and_sizes_are_whatever_the_threads():
    keys = [f"model=m; workload=w:1; hardware=h; threads={n}" for n in (1, 2)]
    timed = [_row("fp32", 10.0, comparability=keys[0]), _row("int8", 5.0, comparability=keys[1])]
    (found,) = check(parse("int8 is 2x faster than fp32"), timed)
    assert (found.verdict, found.reason) == ("not comparable", "threads: 2 against 1")
    sized = [{**row, "metric": "model_bytes", "low": None, "high": None} for row in timed]
    assert check(parse("int8 is at least 2x smaller than fp32"), sized)[0].verdict == "holds"
    assert check(parse("int8 is the same size as fp32"), sized)[0].verdict == "contradicted"


def test_where_nothing_was_timed_a_sentence_says_so():
    with pytest.raises(NothingMeasured, match=r"measured no speed of any case.*check = \"benchmark\""):
        check(parse("int8 is 2x faster than fp32"), [])
    with pytest.raises(NothingMeasured, match="model 'n'"):
        check(parse("int8 is 2x faster than fp32"), [_row("fp32", 10.0), _row("int8", 5.0)], model="n")


def test_unlike_rows_are_not_compared_whatever_is_claimed():
    other = _row("int8", 5.0, comparability="model=m; workload=w:1; hardware=other")
    (found,) = check(parse("int8 is 2x faster than fp32"), [_row("fp32", 10.0), other])
    assert (found.verdict, found.ratio) == ("not comparable", None)
    assert "hardware" in found.reason


def test_fewer_than_three_launches_are_not_enough():
    rows = [_row(variant, value, launches=1) for variant, value in (("fp32", 10.0), ("int8", 5.0))]
    (found,) = check(parse("int8 is 2x faster than fp32"), rows)
    assert found.verdict == "not enough evidence"


def test_a_claim_is_checked_on_every_workload_that_has_both_sides():
    rows = [_row("fp32", 10.0), _row("int8", 5.0)]
    rows += [_row("fp32", 10.0, workload="x", case_id="3"), _row("int8", 9.0, workload="x", case_id="4")]
    assert [one.verdict for one in check(parse("int8 is 2x faster than fp32"), rows)] == ["holds", "contradicted"]
    assert [one.verdict for one in check(parse("int8 is 2x faster than fp32 on w"), rows)] == ["holds"]


def test_a_size_is_exact_and_needs_no_interval():
    sizes = {"metric": "model_bytes", "low": None, "high": None, "samples": None, "launches": None}
    rows = [_row("fp32", 460.95e6, **sizes), _row("int8", 229.14e6, **sizes)]
    assert check(parse("int8 is 50.3% smaller than fp32"), rows)[0].verdict == "holds"
    assert check(parse("int8 is 50.4% smaller than fp32"), rows)[0].verdict == "contradicted"


def test_a_name_that_nothing_has_lists_what_there_is():
    with pytest.raises(UsageError, match="int8"):
        check(parse("int9 is 2x faster than fp32"), [_row("fp32", 10.0), _row("int8", 5.0)])
    with pytest.raises(NothingMeasured, match="never on the same"):
        check(parse("int8 is 2x faster than fp32"), [_row("fp32", 10.0), _row("int8", 5.0, workload="x")])
