"""The life of alerts, night by night on a real store.

One a cause, never normal by getting old, and what people decide.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assay.runner.nights.look import look
from assay.runner.regressions.alerts.causes import grouped, severity_of, suspects
from assay.runner.regressions.alerts.life import Night
from assay.runner.regressions.alerts.new_changes import Watching
from assay.schema import rows, triage
from assay.schema.errors import BadTriage
from assay.schema.queries import alerts as alert_queries
from assay.schema.queries import evidence as evidence_queries
from assay.schema.queries.base import Filters
from assay.schema.queries.series import series
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import write_bundle
from tests.conftest import assay
from tests.examples import a_row
from tests.nights import START, Made, record, stepping
from tests.places import ROOT

V2_FROM_20 = {"version": lambda night: "v2" if night >= 20 else "v1"}


def watch(store: Store, cases: list[Made], first: int, last: int) -> list[Night]:
    """Record night after night, and look after each as the nightly job would."""
    seen = []
    for night in range(first, last):
        record(store, cases, range(night, night + 1))
        seen.append(look(store, Watching(), at=START + timedelta(days=night, hours=2)))
    return seen


def alerts(store: Store) -> list[dict[str, Any]]:
    with reading(snapshot(store)) as connection:
        return alert_queries.alerts(connection, Filters())


def ask(store: Store, question: Callable[..., Any], *arguments: Any) -> Any:
    with reading(snapshot(store)) as connection:
        return question(connection, *arguments)


def actions(nights: list[Night]) -> list[str]:
    return [event.action for night in nights for event in night.events]


@pytest.fixture(scope="module")
def slower_books(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three cases of one model are a fifth slower from version v2 on; another model is not."""
    store = Store(tmp_path_factory.mktemp("slower") / "assay.duckdb")
    cases = [Made(workload=w, value=stepping(20, 1.2), **V2_FROM_20) for w in "abc"] + [
        Made(model="other", workload=w) for w in "ab"
    ]
    record(store, cases, range(20))
    assert look(store, Watching(), at=START + timedelta(days=20)).events == []
    watch(store, cases, 20, 25)
    return store


@pytest.fixture
def slower(slower_books: Store, tmp_path: Path) -> Store:
    """A copy of them that a test may write to."""
    shutil.copytree(slower_books.database.parent, tmp_path / "slower")
    return Store(tmp_path / "slower" / slower_books.database.name)


def test_series_that_one_version_moved_are_one_alert_that_names_it(slower: Store):
    (alert,) = alerts(slower)
    assert (alert["cause_kind"], alert["cause"], alert["state"], alert["severity"]) == ("model", "m v2", "open", "high")
    assert (alert["series"], alert["cases"], alert["version_before"], alert["version"]) == (3, 3, "v1", "v2")
    assert (alert["commit_before"], alert["commit_after"]) == ("c019", "c020")
    assert "version v1 -> v2; commits c019..c020" in alert["reason"]
    assert ask(slower, evidence_queries.pair_of, alert["alert_id"]) == ("nightly-gpu-1-019", "nightly-gpu-1-020")


def test_a_change_holds_the_nights_on_both_sides_and_its_interval(slower: Store):
    changes = ask(slower, alert_queries.changes_of, alerts(slower)[0]["alert_id"])
    for change in changes:
        assert len(change["before"]) == 20
        assert change["low"] < 1.2 < change["high"]
        assert change["q_value"] <= 0.05
        assert change["rule"] == Watching().version()


def test_looking_twice_finds_nothing_new(slower: Store):
    again = look(slower, Watching(), at=START + timedelta(days=25))
    assert (again.changes, again.events) == ([], [])


def test_a_host_that_got_slow_is_the_cause_and_not_the_models_on_it(store: Store):
    cases = [
        Made(model=m, workload=w, host=h, value=stepping(20, 1.3) if h == "gpu-2" else lambda _: 10.0)
        for m in "mno"
        for w in "ab"
        for h in ("gpu-1", "gpu-2")
    ]
    record(store, cases, range(20))
    watch(store, cases, 20, 24)
    (alert,) = alerts(store)
    assert (alert["cause_kind"], alert["cause"], alert["series"]) == ("host", "gpu-2 (cpu)", 6)


def test_a_backend_that_got_slow_on_every_model_is_the_cause(store: Store):
    cases = [
        Made(model=m, backend=b, value=stepping(20, 1.3) if b == "tensorrt" else lambda _: 10.0)
        for m in "mno"
        for b in ("onnxruntime", "tensorrt")
    ]
    record(store, cases, range(20))
    watch(store, cases, 20, 24)
    (alert,) = alerts(store)
    assert (alert["cause_kind"], alert["cause"]) == ("runtime", "tensorrt")


def test_two_causes_in_one_night_are_two_alerts(store: Store):
    cases = [Made(model="m", workload=w, value=stepping(20, 1.2), **V2_FROM_20) for w in "ab"]
    cases += [
        Made(model="n", workload=w, value=stepping(20, 1.3), version=lambda night: "w2" if night >= 20 else "w1")
        for w in "ab"
    ]
    cases += [Made(model="o", workload=w) for w in "abcdef"]
    record(store, cases, range(20))
    watch(store, cases, 20, 24)
    assert sorted((alert["cause_kind"], alert["cause"]) for alert in alerts(store)) == [
        ("model", "m v2"),
        ("model", "n w2"),
    ]


def test_the_same_bytes_on_both_sides_acquit_the_model():
    change = a_row(
        rows.Change,
        version_before="v1",
        version="v2",
        artifact_before="abc",
        artifact="abc",
        commit_before="c1",
        commit_after="c2",
        name="n",
        host="h",
    )
    assert set(suspects(change)) == {"runtime", "suite", "host"}
    assert set(suspects(replace(change, artifact="def"))) == {"runtime", "suite", "host", "variant", "model", "commit"}


def test_how_grave_it_is_follows_what_moved_and_how_much():
    change = a_row(rows.Change, kind="step", ratio=1.25)
    assert severity_of(change) == "high"
    assert severity_of(replace(change, ratio=0.8)) == "high"
    assert severity_of(replace(change, ratio=1.06)) == "medium"
    assert severity_of(replace(change, ratio=1.02)) == "low"
    assert severity_of(replace(change, kind="verdict", ratio=None)) == "critical"
    assert severity_of(replace(change, kind="spread")) == "low"
    assert grouped([], []) == []


def test_a_verdict_that_breaks_is_critical_in_the_same_night_and_over_when_it_passes_again(store: Store):
    cases = [Made(passes=lambda night: night not in (12, 13))]
    record(store, cases, range(12))
    nights = watch(store, cases, 12, 17)
    assert actions(nights) == ["opened", "recovered"]
    (alert,) = alerts(store)
    assert (alert["severity"], alert["state"]) == ("critical", "recovered")
    assert "3 elements outside" in alert["title"]


def test_what_is_worse_does_not_become_normal_by_getting_old(store: Store):
    cases = [Made(value=stepping(20, 1.2), **V2_FROM_20)]
    record(store, cases, range(20))
    watch(store, cases, 20, 24)
    record(store, cases, range(24, 160))
    later = look(store, Watching(), at=START + timedelta(days=160))
    assert later.events == []
    assert [alert["state"] for alert in alerts(store)] == ["open"]


def test_an_alert_is_over_when_its_level_is_back_and_comes_back_with_it(store: Store):
    worse = lambda night: 10.0 * (1.2 if 20 <= night < 26 or night >= 34 else 1.0)  # noqa: E731
    cases = [Made(value=worse, **V2_FROM_20)]
    record(store, cases, range(20))
    assert actions(watch(store, cases, 20, 32)) == ["opened", "recovered"]
    (alert,) = alerts(store)
    assert "all 1 series are back" in alert["reason"]
    assert actions(watch(store, cases, 32, 40)) == ["reopened"]
    (alert,) = alerts(store)
    assert (alert["state"], alert["reopened"]) == ("open", 1)
    assert "it came back" in alert["reason"]


def test_what_was_said_to_be_fixed_and_comes_back_says_so(slower: Store):
    alert = alerts(slower)[0]["alert_id"]
    triage.act(slower, alert, "fix", actor="mira", reason="old layout", version="v3", at=START + timedelta(days=25))
    assert alerts(slower)[0]["state"] == "fixed"
    cases = [
        Made(
            workload=w,
            value=lambda night: 10.0 * (1.2 if 20 <= night < 27 or night >= 34 else 1.0),
            version=lambda night: "v3" if night >= 27 else "v2",
        )
        for w in "abc"
    ]
    nights = watch(slower, cases, 25, 42)
    reopened = [event for night in nights for event in night.events if event.action == "reopened"]
    assert len(reopened) == 1
    assert "although v3 was said to fix it" in reopened[0].reason


def test_a_step_to_another_level_long_after_is_a_new_alert_and_not_the_old_one_come_back(store: Store):
    levels = lambda night: 10.0 * (1.2 if 20 <= night < 26 else 2.0 if night >= 34 else 1.0)  # noqa: E731
    cases = [Made(value=levels, **V2_FROM_20)]
    record(store, cases, range(20))
    assert actions(watch(store, cases, 20, 38)) == ["opened", "recovered", "opened"]
    assert sorted(alert["state"] for alert in alerts(store)) == ["open", "recovered"]


def test_a_fix_that_three_nights_of_its_version_do_not_show_is_none(slower: Store):
    alert = alerts(slower)[0]["alert_id"]
    triage.act(slower, alert, "fix", actor="mira", reason="surely", version="v3", at=START + timedelta(days=25))
    cases = [Made(workload=w, value=lambda _: 12.0, version=lambda night: "v3" if night >= 27 else "v2") for w in "abc"]
    nights = watch(slower, cases, 25, 31)
    events = [(place, event.action, event.reason) for place, night in enumerate(nights, 25) for event in night.events]
    ((night, action, reason),) = events
    assert (night, action) == (29, "reopened")
    assert "v3 has run 3 nights" in reason


def test_what_was_tried_by_hand_is_no_night_where_there_are_nightly_runs(store: Store):
    record(store, [Made()], range(6), trigger="manual")
    assert [row["nights"] for row in ask(store, series, Filters(), 1)] == [6]
    record(store, [Made()], range(6, 10), trigger="nightly")
    record(store, [Made(value=lambda _: 99.0)], range(10, 12), trigger="manual")
    (row,) = ask(store, series, Filters(), 1)
    assert row["nights"] == 4
    assert max(row["values"]) < 11


def test_an_expected_level_is_the_baseline_from_then_on_and_a_second_step_is_a_new_alert(slower: Store):
    first = alerts(slower)[0]["alert_id"]
    row = triage.act(slower, first, "expect", actor="mira", reason="twice the channels")
    assert (row["state"], row["decided_by"], row["reason"]) == ("expected", "mira", "twice the channels")
    cases = [
        Made(
            workload=w,
            value=lambda night: 12.0 * (1.2 if night >= 32 else 1.0),
            version=lambda night: "v3" if night >= 32 else "v2",
        )
        for w in "abc"
    ]
    nights = watch(slower, cases, 25, 36)
    assert actions(nights)[:1] == ["opened"]
    assert sorted((alert["cause"], alert["state"]) for alert in alerts(slower)) == [
        ("m v2", "expected"),
        ("m v3", "open"),
    ]


def test_a_mute_ends_on_its_day(slower: Store):
    alert = alerts(slower)[0]["alert_id"]
    triage.act(slower, alert, "mute", actor="mira", reason="driver update", until=datetime.fromisoformat("2099-01-01"))
    assert alerts(slower)[0]["state"] == "muted"
    assert look(slower, Watching(), at=datetime.fromisoformat("2098-12-31")).events == []
    assert [event.action for event in look(slower, Watching(), at=datetime.fromisoformat("2099-01-02")).events] == [
        "unmuted"
    ]


def test_a_mute_ends_when_a_version_has_run(slower: Store):
    triage.act(slower, alerts(slower)[0]["alert_id"], "mute", actor="mira", reason="wait for v3", until_version="v3")
    for workload in "abc":
        write_bundle(slower, f"later-{workload}", replace_start(workload))
    night = look(slower_synced(slower), Watching(), at=datetime.fromisoformat("2100-01-01"))
    assert [(event.action, "v3 has run" in event.reason) for event in night.events if event.action == "unmuted"] == [
        ("unmuted", True)
    ]


def replace_start(workload: str) -> list[Any]:
    """One more night of a case, far in the future, at version v3 and as slow as before."""
    name, started = f"m/fp32/onnxruntime/{workload}/benchmark", datetime.fromisoformat("2099-06-01")
    return [
        a_row(rows.Run, run_id=f"later-{workload}", suite="nightly", environment_id="e", started_at=started, host="gpu-1"),
        a_row(rows.CaseResult, case_id=f"later-{workload}", run_id=f"later-{workload}", case_key=name, name=name, model="m", model_version="v3", variant="fp32",
              backend="onnxruntime", workload=workload, environment_id="e", check_kind="benchmark", status="ok", started_at=started),
        a_row(rows.Measurement, case_id=f"later-{workload}", run_id=f"later-{workload}", series_id=f"{name}/gpu-1/latency_p50_ms", metric="latency_p50_ms", value=12.0,
              provenance="measured"),
    ]  # fmt: skip


def slower_synced(store: Store) -> Store:
    from assay.schema.store import ingest

    ingest.sync(store)
    return store


def test_invalid_samples_count_no_more_and_stay_in_the_books(slower: Store):
    alert = alerts(slower)[0]["alert_id"]
    triage.act(slower, alert, "invalid", actor="mira", reason="somebody trained on that GPU")
    counted = [row["nights"] for row in ask(slower, series, Filters(models=("m",)), 1)]
    assert counted == [20, 20, 20]
    assert (
        ask(
            slower,
            lambda connection: connection.execute(
                "select count(*) from measurement where series_id like 'm/%'"
            ).fetchone()[0],
        )
        == 75
    )
    assert look(slower, Watching(), at=START + timedelta(days=26)).events == []


def test_an_old_step_is_recorded_and_opens_no_alert(store: Store):
    record(store, [Made(value=stepping(20, 1.2), **V2_FROM_20)], range(60))
    night = look(store, Watching(), at=START + timedelta(days=60))
    assert [(change.kind, change.alert_id) for change in night.changes] == [("step", None)]
    assert night.events == []


def test_an_improvement_is_recorded_and_alarms_nobody(store: Store):
    cases = [Made(value=stepping(20, 0.8), **V2_FROM_20)]
    record(store, cases, range(20))
    nights = watch(store, cases, 20, 24)
    assert actions(nights) == []
    assert [change.direction for night in nights for change in night.changes] == ["improvement"]


def test_a_change_of_the_environment_cuts_the_series_and_is_no_alert(store: Store):
    cases = [Made(value=stepping(20, 1.5), environment=lambda night: "1.31" if night >= 20 else "e")]
    record(store, cases, range(20))
    assert actions(watch(store, cases, 20, 30)) == []
    (cut,) = ask(store, alert_queries.cuts, Filters(), "latency_p50_ms")
    assert "onnxruntime" in cut["differs"]
    assert cut["started_at"] == START + timedelta(days=20)


def test_candidates_leave_rows_and_can_do_nothing_else(slower: Store):
    said = ask(slower, alert_queries.shadows)
    assert {detector for detector, _, _ in said} <= {"strict", "eager"}
    assert said
    from pathlib import Path

    from assay.runner.regressions.alerts import shadow

    source = Path(shadow.__file__).read_text()
    assert "AlertEvent" not in source
    assert "notify" not in source
    for module in ("nights/notify", "nights/nightly", "regressions/alerts/life", "regressions/alerts/causes"):
        text = (ROOT / "runner" / f"{module}.py").read_text()
        assert "shadow" not in text, module


@pytest.mark.parametrize(
    ("action", "more", "told"),
    [
        ("explode", {}, "no action 'explode'"),
        ("mute", {}, "say until when"),
        ("mute", {"until": datetime.fromisoformat("2020-01-01")}, "which is past"),
        ("assign", {}, "say to whom"),
        ("reopen", {}, "open already"),
    ],
)
def test_a_step_that_means_nothing_is_refused_in_words(slower: Store, action: str, more: dict[str, Any], told: str):
    alert = alerts(slower)[0]["alert_id"]
    with pytest.raises(BadTriage, match=told):
        triage.act(slower, alert, action, actor="mira", reason="why not", **more)
    for actor, reason in (("", "why"), ("mira", "  ")):
        with pytest.raises(BadTriage, match="is needed"):
            triage.act(slower, alert, "acknowledge", actor=actor, reason=reason)


def test_people_decide_by_commands_and_every_step_stays(slower: Store):
    db = slower.database
    (listed,) = assay("alerts", "list", "--json", db=db).document
    alert = listed["alert_id"]
    assert "is acknowledged" in assay("alerts", "ack", alert[:6], "--reason", "looking", "--by", "mira", db=db).out
    assert (
        "assigned to jo"
        in assay("alerts", "assign", alert, "--to", "jo", "--reason", "hers", "--by", "mira", db=db).out
    )
    assert (
        "is muted"
        in assay("alerts", "mute", alert, "--until", "2099-01-01", "--reason", "later", "--by", "mira", db=db).out
    )
    assert "is open" in assay("alerts", "reopen", alert, "--reason", "no", "--by", "mira", db=db).out
    assert "is expected" in assay("alerts", "expect", alert, "--reason", "agreed", "--by", "mira", db=db).out
    shown = assay("alerts", "show", alert, "--json", db=db).document
    steps = [(event["action"], event["actor"]) for event in shown["events"] if event["action"] != "grew"]
    assert steps == [
        ("opened", "assay"),
        *[(step, "mira") for step in ("acknowledged", "assigned", "muted", "reopened", "expected")],
    ]
    assert assay("alerts", "list", db=db).out.startswith("0 alerts; 1 are over")
    told = assay("alerts", "show", alert, db=db).out
    assert "what moved" in told
    assert "agreed" in told


def test_a_command_about_an_alert_that_is_not_there_is_told(slower: Store):
    done = assay("alerts", "ack", "nope", "--reason", "x", db=slower.database)
    assert done.code == 2
    assert "no alert is called 'nope'" in done.err
    assert assay("alerts", "mute", "nope", "--reason", "x", "--until", "soon", db=slower.database).code == 2
    assert "Traceback" not in done.err


def test_a_release_is_a_version_that_was_measured_and_a_baseline_for_the_gate(slower: Store):
    db = slower.database
    refused = assay("release", "m=v9", "--reason", "x", "--by", "mira", db=db)
    assert (refused.code, "no case of m v9 is recorded" in refused.err) == (2, True)
    assert assay("release", "m", "--reason", "x", db=db).code == 2
    assert assay("release", "m=v1", "--reason", "shipped with 1.4", "--by", "mira", db=db).code == 0
    done = assay("gate", "--suite", "nightly", "--against", "release", "--as", "json", db=db)
    assert (done.code, done.document["against"]) == (1, "nightly-gpu-1-019")


def test_one_look_by_hand_is_the_nightly_jobs(store: Store):
    cases = [Made(value=stepping(20, 1.2), **V2_FROM_20)]
    record(store, cases, range(24))
    done = assay("detect", "--record", db=store.database)
    assert done.code == 1, done.err
    assert "1 new changes, 1 steps of alerts" in done.out
    assert assay("detect", "--record", db=store.database).code == 0


def test_what_speaks_for_an_alert_beside_its_figures(slower: Store):
    """Tensors and operators that got worse between the two runs, suspects found since, and what else moved."""
    (alert,) = alerts(slower)
    before, after = ask(slower, evidence_queries.pair_of, alert["alert_id"])
    cases = {before: f"{before}-m/fp32/onnxruntime/a/benchmark", after: f"{after}-m/fp32/onnxruntime/a/benchmark"}
    made: list[Any] = []
    for run, sqnr, us in ((before, 40.0, 100.0), (after, 22.0, 160.0)):
        of = {"case_id": cases[run], "run_id": run}
        made += [
            a_row(rows.LedgerEntry, name="conv.weight", node="conv", sqnr_db=sqnr, kind="weight", **of),
            a_row(rows.LedgerEntry, name="fc.weight", sqnr_db=41.0, **of),
        ]
        made += [
            a_row(rows.Layer, name="conv", op_type="Conv", median_us=us, **of),
            a_row(rows.Layer, name="fc", median_us=5.0, **of),
        ]
    made += [
        a_row(
            rows.Divergence,
            case_id=cases[after],
            run_id=after,
            explanation_id="x",
            node=node,
            position=i,
            suspect=i > 0,
        )
        for i, node in enumerate(("fine", "wrong", "later"))
    ]
    write_bundle(slower, after, made)
    slower_synced(slower)
    (tensor,) = ask(slower, evidence_queries.ledger_difference, alert["alert_id"])
    assert (tensor["name"], tensor["before_db"], tensor["after_db"], tensor["drop_db"]) == (
        "conv.weight",
        40.0,
        22.0,
        18.0,
    )
    (layer,) = ask(slower, evidence_queries.layer_difference, alert["alert_id"])
    assert (layer["name"], layer["lost_us"]) == ("conv", 60.0)
    (suspect,) = ask(slower, evidence_queries.first_divergence, alert["alert_id"])
    assert suspect["node"] == "wrong"
    assert ask(slower, evidence_queries.moved_beside, alert["alert_id"]) == []
    told = assay("alerts", "show", alert["alert_id"], db=slower.database).out
    for title in ("tensors that lost most", "operators that got slower", "first divergence"):
        assert title in told
