"""What the nightly rule costs and finds, told from replays; and all series of a store at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.runner.nights.calibration import same_artifact
from assay.runner.regressions.detection.calibrate import Alarms, by_rule, false_alarms, recall, reports, stationary
from assay.runner.regressions.detection.detect import NIGHTLY
from assay.runner.regressions.detection.fleet import benjamini_hochberg, noises_of, over_all, within
from assay.runner.regressions.detection.histories import KINDS, nights, resampled
from assay.runner.regressions.detection.rule_version import version_of
from assay.schema import rows
from assay.schema.metrics import METRICS
from assay.schema.queries.alerts import calibrations
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import now, write_bundle
from tests.conftest import assay
from tests.examples import a_row, a_run, an_environment


def quiet(count: int, seed: int = 0) -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(seed)
    return [nights(kind, 60, generator) for kind in KINDS for _ in range(count)]


def test_alarms_are_counted_per_series_and_100_nights_with_an_exact_interval():
    alarms = Alarms(4, 2000)
    assert alarms.per_100 == 0.2
    low, high = alarms.interval()
    assert (low, high) == (
        pytest.approx(0.0545, abs=1e-4),
        pytest.approx(0.512, abs=1e-3),
    )  # 1.0899 and 10.2416 (Garwood)
    assert Alarms(0, 100).interval() == (0.0, pytest.approx(3.689, abs=1e-3))


def test_a_report_is_counted_once_however_often_it_is_repeated():
    told = {4: [2], 5: [2], 6: [3], 7: [3, 6]}
    assert reports([1.0] * 8, lambda values: told.get(len(values), [])) == [(4, 2), (7, 6)]


def test_a_rule_that_always_shouts_costs_that_much_and_a_deaf_one_finds_nothing():
    loud = false_alarms(quiet(1), lambda values: [len(values) - 1], seed=0)
    assert loud.per_100 > 30
    assert false_alarms(quiet(1), lambda _: [], seed=0).count == 0
    deaf = recall(quiet(1), lambda _: [], 0.2, seed=0)
    assert (deaf.within, deaf.median) == ({3: 0.0, 5: 0.0, 10: 0.0}, None)


def test_the_nightly_rule_keeps_its_figures_on_made_up_noise():
    """The committed figures of docs/regressions.md, with room for another version of numpy's generator.

    CI fails where a change makes them worse.
    """
    noises = quiet(8)
    alarms = false_alarms(noises, by_rule(), seed=0, repeats=2)
    assert alarms.per_100 <= 0.35
    clear, small = (recall(noises, by_rule(), size, seed=1) for size in (0.20, 0.05))
    assert clear.within[10] >= 0.90
    assert clear.within[5] >= 0.80
    assert small.within[10] >= 0.50


def test_what_is_left_of_a_history_without_its_changes_is_its_noise():
    generator = np.random.default_rng(3)
    noise = 0.01 * generator.normal(size=60)
    history = [float(v) for v in np.exp(noise + np.repeat([2.0, 2.3, 1.9], 20))]
    left = stationary(history)
    assert len(left) == 60
    assert abs(float(np.median(left))) < 0.003
    assert float(left.std()) == pytest.approx(0.01, rel=0.3)


def test_nights_are_resampled_in_blocks_that_keep_their_order():
    history = np.arange(27.0)
    drawn = resampled(history, 100, np.random.default_rng(0))
    assert len(drawn) == 100
    assert float((np.diff(drawn) == 1).mean()) == pytest.approx(2 / 3, abs=0.08)  # blocks of 3
    with pytest.raises(ValueError, match="without nights"):
        resampled(np.array([]), 5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="no kind of noise 'pink'"):
        nights("pink", 5, np.random.default_rng(0))


def test_the_share_of_false_changes_is_that_of_benjamini_and_hochberg():
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.5], 4) == [
        pytest.approx(v) for v in (0.04, 0.04 * 4 / 3, 0.04 * 4 / 3, 0.5)
    ]
    assert benjamini_hochberg([0.001], 100) == [pytest.approx(0.1)]
    assert benjamini_hochberg([], 10) == []
    with pytest.raises(ValueError, match="2 p values cannot come from 1 tests"):
        benjamini_hochberg([0.1, 0.2], 1)


def test_a_night_knows_its_value_as_well_as_its_interval_says():
    assert within([0.02, None, 0.04]) == pytest.approx((0.02**2 + 0.04**2) / 2)
    assert within([None, float("nan")]) == 0.0


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 nights of two cases on one host.

    The first is 12 % slower from version v2 on, the environment of the second changes with its level.
    """
    store = Store(tmp_path_factory.mktemp("history") / "assay.duckdb")
    generator = np.random.default_rng(5)
    start = now() - timedelta(days=40)
    first, other = an_environment(), a_row(rows.Environment, environment_id="e2", hardware_class="cpu")
    for night in range(30):
        run = a_run(f"run-{night:02d}", started_at=start + timedelta(days=night))
        made: list[Any] = [run, first, other, METRICS["latency_p50_ms"].row]
        for number, level in enumerate((10.0 * (1.12 if night >= 18 else 1.0), 5.0 * (1.5 if night >= 12 else 1.0))):
            case = f"case-{night:02d}-{number}"
            environment = "e2" if number == 1 and night >= 12 else "e"
            made.append(
                a_row(
                    rows.CaseResult,
                    case_id=case,
                    run_id=run.run_id,
                    name=f"m/v/b/w{number}/benchmark",
                    model_version="v2" if night >= 18 else "v1",
                    environment_id=environment,
                    check_kind="benchmark",
                    status="ok",
                    started_at=run.started_at,
                )
            )
            value = float(level * np.exp(0.01 * generator.normal()))
            made.append(
                a_row(
                    rows.Measurement,
                    case_id=case,
                    run_id=run.run_id,
                    series_id=f"s{number}",
                    metric="latency_p50_ms",
                    value=value,
                    low=value * 0.99,
                    high=value * 1.01,
                    provenance="measured",
                )
            )
        write_bundle(store, run.run_id, made)
    ingest.sync(store, 30)
    return store.database


def test_what_is_recorded_says_which_version_a_new_level_begins_with(books: Path):
    done = assay("detect", "--json", db=books)
    assert done.code == 0, done.err
    (found,) = done.document["changes"]
    assert done.document["series"] == 2
    assert (found["name"], found["kind"], found["version_before"], found["version"], found["run_id"]) == (
        "m/v/b/w0/benchmark",
        "regression",
        "v1",
        "v2",
        "run-18",
    )
    assert found["low"] < 1.12 < found["high"]
    assert found["q_value"] >= found["p_value"]
    assert "1 changes in 2 series" in assay("detect", db=books).out


def test_a_suite_without_series_has_nothing_to_detect(books: Path):
    done = assay("detect", "--suite", "another", db=books)
    assert done.code == 4
    assert "no series of 4 nights or more is recorded" in done.err


def test_calibration_uses_the_recorded_noise_where_there_is_some_and_is_kept_with_the_rules_version(
    books: Path, tmp_path: Path
):
    told = assay("calibrate", "--json", db=books).document
    assert told["noise"] == "2 recorded series of 20 nights or more"
    assert told["nights"] == 2 * 2 * 60
    assert told["same_pairs"] == 0  # no artifact is recorded, so no two nights are known to be of the same one
    assert (
        assay("calibrate", "--json", "--no-record", "--detector", "strict", db=books).document["detector"] == "strict"
    )
    with reading(snapshot(Store(books))) as connection:
        (kept,) = calibrations(connection)
    assert (kept["detector"], kept["rule"], kept["alarms"]) == ("nightly", version_of(NIGHTLY), told["alarms"])
    made_up = assay("calibrate", "--json", "--series", "7", db=tmp_path / "none.duckdb").document
    assert made_up["noise"].startswith("made up, 7 series of 7 kinds")
    assert made_up["sizes"] == [0.02, 0.05, 0.1, 0.2]
    unknown = assay("calibrate", "--detector", "strickt", db=books)
    assert (unknown.code, "Did you mean 'strict'?" in unknown.err) == (2, True)


def test_neighbouring_nights_of_one_artifact_are_a_live_test_of_false_alarms():
    values = [10.0, 10.1, 9.9, 10.0, 10.1, 9.9] * 3 + [12.0, 12.1, 11.9] * 4
    history = {"values": values, "environments": ["old"] * 2 + ["e"] * 28, "artifacts": ["a"] * 30}
    pairs, alarms = same_artifact(history, NIGHTLY)
    assert (pairs, alarms) == (27, 1)
    built = {**history, "artifacts": ["a"] * 18 + ["b"] * 12}
    assert same_artifact(built, NIGHTLY) == (26, 0)


def test_every_series_is_looked_at_with_its_own_direction():
    history = {
        "series_id": "s",
        "name": "n",
        "metric": "tokens_per_s",
        "better": "higher",
        "values": [10.0, 10.1, 9.9, 10.0, 10.1, 9.9] * 3 + [8.0, 8.1, 7.9] * 3,
        "environments": ["e"] * 27,
        "errors": [None] * 27,
        "versions": ["a"] * 18 + ["b"] * 9,
        "run_ids": [str(i) for i in range(27)],
        "started_at": [now()] * 27,
    }
    (found,) = over_all([history], online=False)
    assert (found.kind, found.version, found.run_id) == ("regression", "b", "18")
    (later,) = over_all([history], online=True)
    assert later.run_id == "18"
    chosen, words = noises_of([history], 0, 5)
    assert (len(chosen), words) == (1, "1 recorded series of 20 nights or more")
