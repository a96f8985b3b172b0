"""The checklist is ticked by rows, and by nothing else."""

from assay.runner.reports.checklist import checklist


def case(variant, check="quality", **more):
    return {
        "name": f"m/{variant}/b/w/{check}",
        "variant": variant,
        "workload": "w",
        "check_kind": check,
        "status": "ok",
        "workload_sha256": "d",
        "calibration": None,
        "calibration_sha256": None,
        **more,
    }


def figure(variant, metric, value, low=0.0, high=1.0):
    return {
        "name": f"m/{variant}/b/w/quality",
        "variant": variant,
        "metric": metric,
        "value": value,
        "low": low,
        "high": high,
    }


def ticks(cases, measured=(), findings=()):
    return {" ".join(item.what.split(" ")[:4]): item for item in checklist(cases, measured, findings)}


def test_a_run_without_quality_has_no_checklist():
    assert checklist([case("fp32", "parity")], [], []) == []


def test_what_no_row_says_is_not_ticked():
    found = ticks([case("int8")])
    assert found["A float baseline is"].done is False
    assert found["A float baseline is"].evidence == "no row of this run says so"
    assert found["Quantized variants are made"].done is True
    assert found["What is lost is"].done is False


def test_a_loss_with_its_interval_is_ticked_with_its_numbers():
    found = ticks([case("fp32"), case("int8")], [figure("int8", "quality_drop_relative", 0.01, 0.005, 0.015)])
    assert found["What is lost is"].evidence == "int8 1.00% [0.50%, 1.50%]"
    assert found["Where more than 2"].done is None


def test_more_than_2_percent_asks_for_a_ledger_and_a_sensitivity():
    lost = [figure("int8", "quality_drop_relative", 0.1, 0.05, 0.15)]
    assert ticks([case("fp32"), case("int8")], lost)["Where more than 2"].evidence == "no ledger of int8"
    looked = ticks([case("fp32"), case("int8"), case("int8", "ledger"), case("int8", "sensitivity")], lost)
    assert (looked["Where more than 2"].done, looked["Selective quantization is considered"].done) == (True, True)


def test_doubtful_calibration_is_not_ticked_and_says_why():
    learnt = case("int8", calibration="noise", calibration_sha256="a" * 64)
    doubt = {"kind": "random_calibration", "message": "values are drawn", "name": "x"}
    assert ticks([learnt])["Ranges are learnt from"].evidence == "noise (aaaaaaaaaaaa)"
    assert ticks([learnt], findings=[doubt])["Ranges are learnt from"].done is False


def test_other_data_are_not_the_same_data():
    found = ticks([case("fp32"), case("int8", workload_sha256="e")])
    assert (found["Quantized variants are judged"].done, found["Quantized variants are judged"].evidence[-13:]) == (
        False,
        "of other data",
    )
