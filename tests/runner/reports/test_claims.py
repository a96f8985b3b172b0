"""Sentences with ratios, and rows that bear them out or not."""

from __future__ import annotations

import pytest

from assay.runner.errors import NothingMeasured, UsageError
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
