"""A whole night, by the real command on real workers.

Quiet unless it matters, one at a time, and what moved is run again.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from assay.runner.investigate.bisect import halve
from assay.runner.investigate.confirm import persisting, verdict
from assay.runner.investigate.rerun import Impossible, Rerun, bench
from assay.runner.nights.retention import prune_artifacts, prune_logs, wanted
from assay.runner.nights.selftest import selftest_alerts
from assay.runner.reports.progress import LineProgress
from assay.schema import rows
from assay.schema.queries import alerts as alert_queries
from assay.schema.queries.base import Filters
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from assay.schema.store.spool import now, write_bundle
from tests.conftest import Done, assay, until
from tests.examples import a_row, a_run
from tests.nights import Made, record, repeat_the_newest_run
from tests.places import SOURCES

SLOW = """
name = "slow"
[model.line]
fake = { gain = 2.0 }
[model.line.versions]
v1 = { fake = { delay_ms = 2.0 } }
v2 = { fake = { delay_ms = 2.0, gain = 1.0 } }
v3 = { fake = { delay_ms = 2.0, gain = 1.5 } }
v4 = { fake = { delay_ms = 3.0 } }
v5 = { fake = { delay_ms = 3.0, gain = 1.0 } }
[workload.noise]
inputs = { x = { shape = [4, 5] } }
[backend.right]
kind = "fake"
[backend.broken]
kind = "fake"
options = { fault = "hang" }
[[case]]
check = "benchmark"
models = ["line"]
backends = ["right"]
workloads = ["noise"]
timing = { rounds = 2, block_ms = 20.0, max_warmup_s = 0.3 }
"""
CASE = "line/fp32/right/noise/benchmark"


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight nights of version v1."""
    return nights(tmp_path_factory.mktemp("calm"), "v1", 8)


def nights(folder: Path, version: str, count: int = 1) -> Path:
    """The first night of a version by the real command, the others as it came out."""
    (folder / "slow.toml").write_text(SLOW)
    db = folder / "assay.duckdb"
    done = assay("run", "slow.toml", "--version", f"line={version}", db=db, cwd=folder)
    assert done.code == 0, done.err
    repeat_the_newest_run(Store(db), count - 1)
    return folder


@pytest.fixture(scope="module")
def slowed(calm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After those three of v4, which takes half as long again; nobody has looked yet."""
    return nights(shutil.copytree(calm, tmp_path_factory.mktemp("slowed") / "books"), "v4", 3)


@pytest.fixture(scope="module")
def told(slowed: Path) -> tuple[Path, Done, Done]:
    """The first night that looks, and the next."""
    config = slowed / "nightly.toml"
    config.write_text('confirm_minutes = 5\n[[notify]]\nname = "file"\nkind = "file"\npath = "told.jsonl"\n')
    first = assay("nightly", config, "--json", db=slowed / "assay.duckdb", cwd=slowed)
    return slowed, first, assay("nightly", config, db=slowed / "assay.duckdb", cwd=slowed)


def test_a_night_finds_what_moved_runs_it_again_in_turns_and_tells_it_once(told: tuple[Path, Done, Done]):
    folder, first, second = told
    assert first.code == 1, first.err
    (alert,) = first.document["opened"]
    assert (alert["cause_kind"], alert["cause"], alert["severity"]) == ("model", "line v4", "high")
    (again,) = first.document["confirmations"]
    assert (again["outcome"], again["name"]) == ("confirmed", CASE), again["reason"]
    assert 1.2 < again["ratio"] < 1.8
    assert again["low"] > 1
    (line,) = (folder / "told.jsonl").read_text().splitlines()
    (entry,) = json.loads(line)["alerts"]
    assert [step["action"] for step in entry["steps"]] == ["opened", "confirmed"]
    assert (second.code, second.out, second.err) == (0, "", "")


def test_one_bad_night_of_a_new_version_is_run_again_at_once_and_told_the_same_night(calm: Path, tmp_path: Path):
    folder = nights(shutil.copytree(calm, tmp_path / "books"), "v4")
    db = folder / "assay.duckdb"
    (folder / "nightly.toml").write_text("confirm_minutes = 5\n")
    unsure = assay("detect", "--record", db=db)
    assert unsure.code == 0, unsure.out  # one night alone is no change
    done = assay("nightly", "nightly.toml", "--json", db=db, cwd=folder)
    assert done.code == 1, done.err
    (alert,) = done.document["opened"]
    assert alert["cause"] == "line v4"
    assert "in one night; in turns the new one is" in alert["title"]
    assert assay("nightly", "nightly.toml", "--json", db=db, cwd=folder).document["opened"] == []


def test_one_bad_night_of_a_version_that_is_not_worse_is_refuted_and_tells_nobody(calm: Path, tmp_path: Path):
    folder = shutil.copytree(calm, tmp_path / "books")
    db = folder / "assay.duckdb"
    # The night was bad for a reason of the host's: version v2 is as fast as v1.
    (folder / "slow.toml").write_text(
        SLOW.replace("v2 = { fake = { delay_ms = 2.0, gain", "v2 = { fake = { delay_ms = 3.0, gain")
    )
    assert assay("run", "slow.toml", "--version", "line=v2", db=db, cwd=folder).code == 0
    (folder / "slow.toml").write_text(SLOW)
    (folder / "nightly.toml").write_text("confirm_minutes = 5\n")
    done = assay("nightly", "nightly.toml", "--json", db=db, cwd=folder)
    assert (done.code, done.document["opened"]) == (0, []), done.err
    assert [row["outcome"] for row in done.document["confirmations"]] == ["refuted"]


def test_the_answer_of_a_re_run_stays_with_the_alert(told: tuple[Path, Done, Done]):
    folder, first, _ = told
    shown = assay("alerts", "show", first.document["opened"][0]["alert"], "--json", db=folder / "assay.duckdb").document
    assert [row["outcome"] for row in shown["confirmations"]] == ["confirmed"]
    assert [event["action"] for event in shown["events"]] == ["opened", "confirmed"]


def test_bisection_finds_the_first_slow_version_and_keeps_its_steps(told: tuple[Path, Done, Done]):
    folder, _, _ = told
    done = assay(
        "bisect",
        folder / "slow.toml",
        "--case",
        CASE,
        "--good",
        "v1",
        "--bad",
        "v5",
        "--json",
        db=folder / "assay.duckdb",
        cwd=folder,
    )
    assert done.code == 0, done.err
    assert (done.document["last_good"], done.document["first_bad"], done.document["between"]) == ("v3", "v4", [])
    assert [step["version"] for step in done.document["steps"]] == ["v5", "v3", "v4"]
    with reading(snapshot(Store(folder / "assay.duckdb"))) as connection:
        kept = connection.execute(
            "select version, outcome from confirmation where alert_id is null order by recorded_at, confirmation_id"
        ).fetchall()
    assert kept == [("v5", "bad"), ("v3", "good"), ("v4", "bad")]


@pytest.mark.parametrize(
    ("arguments", "code", "told_"),
    [
        (["--good", "v1", "--bad", "v3"], 4, "is not worse than v1 here"),
        (["--good", "v5", "--bad", "v1"], 2, "comes after"),
        (["--good", "v9", "--bad", "v1"], 2, "no version of the case"),
    ],
)
def test_a_bisection_that_means_nothing_is_refused(
    told: tuple[Path, Done, Done], arguments: list[str], code: int, told_: str
):
    folder = told[0]
    done = assay("bisect", folder / "slow.toml", "--case", CASE, *arguments, db=folder / "assay.duckdb", cwd=folder)
    assert done.code == code, done.err
    assert told_ in done.err


def test_halving_asks_no_more_than_it_has_to_and_says_what_it_could_not_tell():
    asked: list[str] = []

    def bad_from(first: int, untold: tuple[int, ...] = ()) -> Any:
        def is_bad(version: str) -> bool | None:
            asked.append(version)
            return None if int(version) in untold else int(version) >= first

        return is_bad

    versions = [str(i) for i in range(17)]
    assert halve(versions, bad_from(11)) == ("10", "11", ())
    assert len(asked) == 4
    assert halve(versions, bad_from(11, untold=(10, 9))) == ("8", "11", ("9", "10"))
    assert halve(["0", "1"], bad_from(1)) == ("0", "1", ())


def test_a_re_run_confirms_by_its_whole_interval_and_refutes_what_it_does_not_show():
    assert verdict(Rerun(1.2, 1.15, 1.25), 1.2, better="lower")[0] == "confirmed"
    assert verdict(Rerun(1.0, 0.99, 1.01), 1.2, better="lower")[0] == "refuted"
    assert verdict(Rerun(1.1, 0.95, 1.3), 1.2, better="lower")[0] == "undecided"
    assert verdict(Rerun(0.8, 0.78, 0.82), 0.8, better="higher")[0] == "confirmed"
    assert verdict(Rerun(0.8, 0.78, 0.82), 1.2, better="lower")[0] == "refuted"
    assert verdict(Rerun(passed=(True, False)), None, better="higher")[0] == "confirmed"
    assert verdict(Rerun(passed=(True, True)), None, better="higher")[0] == "refuted"
    assert verdict(Rerun(passed=(False, False)), None, better="higher")[0] == "undecided"
    assert verdict(Rerun(), 1.2, better="lower")[0] == "undecided"


def test_of_one_artifact_on_both_sides_the_model_is_acquitted_and_the_host_is_asked():
    change = {"before": [10.0, 10.1, 9.9], "after": [12.0, 12.1, 11.9]}
    outcome, why = persisting(12.05, change)
    assert outcome == "confirmed"
    assert "it is not the model" in why
    assert persisting(10.0, change)[0] == "refuted"


def test_an_alert_from_another_host_cannot_be_confirmed_here_and_says_so(store: Store):
    cases = [
        Made(
            host="gpu-77",
            value=lambda night: 12.0 if night >= 20 else 10.0,
            version=lambda night: "v2" if night >= 20 else "v1",
        )
    ]
    record(store, cases, range(24))
    assert assay("detect", "--record", db=store.database).code == 1
    with reading(snapshot(store)) as connection:
        (alert,) = alert_queries.alerts(connection, Filters())
    done = assay("confirm", alert["alert_id"], db=store.database)
    assert done.code == 4
    assert "impossible: " in done.out
    assert "it was measured on gpu-77" in done.out


def test_a_night_runs_its_suites_and_says_nothing_where_nothing_matters(tmp_path: Path):
    (tmp_path / "slow.toml").write_text(SLOW)
    (tmp_path / "nightly.toml").write_text('suites = ["slow.toml"]\n')
    quiet = assay("nightly", tmp_path / "nightly.toml", db=tmp_path / "a.duckdb", cwd=tmp_path)
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    (log,) = (tmp_path / "a.duckdb.log").glob("nightly-*.log")
    assert "assay run" in log.read_text()
    with reading(snapshot(Store(tmp_path / "a.duckdb"))) as connection:
        assert connection.execute("select trigger from run").fetchall() == [("nightly",)]
    loud = assay("nightly", "--suite", "slow.toml", "--verbose", db=tmp_path / "a.duckdb", cwd=tmp_path)
    assert "1 suites run, 0 alerts opened" in loud.out


def test_a_night_that_takes_too_long_is_ended_and_keeps_what_it_finished(tmp_path: Path):
    text = SLOW.replace('backends = ["right"]', 'backends = ["right", "broken"]').replace(
        'name = "slow"', 'name = "slow"\ntimeout_s = 500'
    )
    (tmp_path / "slow.toml").write_text(text)
    (tmp_path / "nightly.toml").write_text('suites = ["slow.toml"]\ntimeout_h = 0.001\n')
    done = assay("nightly", tmp_path / "nightly.toml", "--json", db=tmp_path / "a.duckdb", cwd=tmp_path)
    assert done.code == 3
    assert done.document["runs"] == {"slow.toml": 124}
    assert "ran past 0.001 h and was ended" in done.err
    left = subprocess.run(["pgrep", "-f", str(tmp_path / "slow.toml")], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_two_nights_at_once_are_one(tmp_path: Path):
    lock = tmp_path / "a.duckdb.nightly.lock"
    with lock.open("w") as file:
        file.write("4711")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        done = assay("nightly", db=tmp_path / "a.duckdb")
    assert done.code == 3
    assert "another night of" in done.err
    assert "process 4711" in done.err
    assert assay("nightly", db=tmp_path / "a.duckdb").code == 0


def test_a_night_that_is_killed_leaves_no_lock_and_its_runs_in_the_spool(tmp_path: Path):
    (tmp_path / "slow.toml").write_text(SLOW.replace("block_ms = 20.0", "block_ms = 800.0"))
    command = [sys.executable, "-m", "assay", "nightly", "--suite", "slow.toml"]
    env = {**os.environ, "PYTHONPATH": SOURCES, "ASSAY_DB": str(tmp_path / "a.duckdb")}
    process = subprocess.Popen(command, env=env, cwd=tmp_path, start_new_session=True)
    waiting = tmp_path / "a.duckdb.spool" / "waiting"
    until(lambda: [*waiting.glob("[!.]*")], "the run writes its first bundle")
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(["pkill", "-9", "-f", f"--db {tmp_path / 'a.duckdb'}"], check=False)
    (tmp_path / "slow.toml").write_text(SLOW)
    again = assay("nightly", "--suite", "slow.toml", db=tmp_path / "a.duckdb", cwd=tmp_path)
    assert again.code == 0, again.err
    with reading(snapshot(Store(tmp_path / "a.duckdb"))) as connection:
        assert connection.execute("select count(*) from run").fetchone()[0] == 2


def test_a_suite_that_is_wrong_is_told_before_anything_runs(tmp_path: Path):
    (tmp_path / "bad.toml").write_text("name = 3")
    (tmp_path / "nightly.toml").write_text('suites = ["bad.toml"]\n')
    done = assay("nightly", tmp_path / "nightly.toml", db=tmp_path / "a.duckdb")
    assert done.code == 2
    assert "bad.toml" in done.err
    assert assay("nightly", tmp_path / "nightly.toml", "--suite", "quickstart", db=tmp_path / "a.duckdb").code == 2
    assert not (tmp_path / "a.duckdb.log").exists()


def test_a_channel_that_does_not_answer_is_tried_again_the_next_night(slowed: Path, tmp_path: Path):
    store = Store(tmp_path / "a.duckdb")
    cases = [Made(host="gpu-77", value=lambda night: 12.0 if night >= 20 else 10.0)]
    record(store, cases, range(24))
    config = tmp_path / "nightly.toml"
    config.write_text('[[notify]]\nname = "file"\nkind = "file"\npath = "blocked/told.jsonl"\n')
    (tmp_path / "blocked").write_text("a file where the folder should be")
    first = assay("nightly", config, db=store.database)
    assert first.code == 1
    assert "channel file was not told" in first.err
    (tmp_path / "blocked").unlink()
    second = assay("nightly", config, "--verbose", db=store.database)
    assert (second.code, "file: sent" in second.out) == (0, True), second.err
    assert len((tmp_path / "blocked" / "told.jsonl").read_text().splitlines()) == 1


def test_what_nothing_uses_any_more_is_deleted_and_what_may_be_asked_for_again_is_kept(store: Store):
    for number, version in enumerate(("v1", "v2", "v3", "v4", "v5")):
        run = a_run(f"r{number}", started_at=now() - timedelta(days=90 - number))
        artifact = a_row(
            rows.Artifact,
            artifact_id=f"a{number}",
            sha256=f"s{number}",
            recipe_sha256=f"{number}{number}key",
            model="m",
            model_version=version,
            variant="fp32",
            format="onnx",
        )
        used = [
            run,
            artifact,
            a_row(
                rows.CaseResult,
                case_id=f"c{number}",
                run_id=run.run_id,
                artifact_id=f"a{number}",
                model="m",
                model_version=version,
            ),
        ]
        write_bundle(store, run.run_id, used)
        folder = store.artifacts / f"{number}{number}" / f"{number}{number}key"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"x")
        old = time.time() - 86_400 * (90 if number != 1 else 1)
        for path in (folder / "model.onnx", folder):
            os.utime(path, (old, old))
    shipped = rows.Release(event_id="1", model="m", version="v1", owner="mira", reason="shipped", recorded_at=now())
    write_bundle(store, "release-m", [shipped])
    ingest.sync(store)
    with reading(snapshot(store)) as connection:
        keep = wanted(connection)
    assert keep == {"00key", "22key", "33key", "44key"}  # the release, and the newest three
    assert prune_artifacts(store, keep, 0) == []
    assert prune_artifacts(store, keep, 60) == []  # v2 was used yesterday
    assert prune_artifacts(store, keep, 0.5) == ["11key"]
    assert sorted(path.name for path in store.artifacts.glob("??/*")) == ["00key", "22key", "33key", "44key"]


def test_old_logs_go_and_young_ones_stay(tmp_path: Path):
    for name, days in (("nightly-a.log", 100), ("nightly-b.log", 1)):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (time.time() - 86_400 * days,) * 2)
    assert prune_logs(tmp_path, 60) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["nightly-b.log"]


def test_a_planted_regression_is_caught_and_the_same_nights_without_it_are_silent(store: Store, tmp_path: Path):
    done = assay("selftest", "alerts", "--json", db=tmp_path / "none.duckdb")
    assert (done.code, done.document["passed"], done.document["recorded"]) == (0, True, False), done.err
    record(store, [Made(workload=w, noise=0.02) for w in "ab"], range(30))
    before = store.database.read_bytes()
    own = assay("selftest", "alerts", "--json", db=store.database)
    assert (own.code, own.document["recorded"]) == (0, True), own.out
    assert own.document["after_nights"] <= 8
    assert store.database.read_bytes() == before


def test_a_detector_that_hears_nothing_or_everything_fails_the_selftest(store: Store, monkeypatch: pytest.MonkeyPatch):
    from assay.runner.nights import selftest
    from assay.runner.regressions.alerts.life import Night

    monkeypatch.setattr(selftest, "look", lambda *_, **__: Night())
    deaf = selftest_alerts(store, 0)
    assert (deaf.passed, deaf.after_nights) == (False, None)
    assert replace(deaf, after_nights=3, told=True).passed
    assert not replace(deaf, after_nights=3, told=True, false_alarm=True).passed
    assert not replace(deaf, after_nights=3).passed


def test_a_translation_that_breaks_is_run_again_and_explained_the_same_night(tmp_path: Path):
    """A real model: the version that interpolates quantiles passes, the other fails and its rounding node is named."""
    db = tmp_path / "a.duckdb"
    only = ("--only", "scaling/fp32/onnxruntime/recording/parity")
    for version in ("interpolated", "interpolated", "rounded"):
        assay("run", "quickstart", *only, "--version", f"scaling={version}", db=db, cwd=tmp_path)
    (tmp_path / "nightly.toml").write_text("confirm_minutes = 10\n")
    done = assay("nightly", "nightly.toml", "--json", db=db, cwd=tmp_path)
    assert done.code == 1, done.err
    (alert,) = done.document["opened"]
    assert (alert["severity"], alert["cause"]) == ("critical", "scaling rounded")
    assert [(row["outcome"], row["reason"]) for row in done.document["confirmations"]] == [
        ("confirmed", "the old one passes, the new one fails")
    ]
    shown = assay("alerts", "show", alert["alert"], "--json", db=db).document
    assert [row["name"] for row in shown["first_divergence"]] == ["scaling/fp32/onnxruntime/recording/parity"]
    assert any("first divergence" in note for note in done.document["notes"])
    found = assay(
        "bisect", "quickstart", "--case", only[1], "--metric", shown["changes"][0]["metric"], "--good", "interpolated", "--bad", "rounded", "--json", db=db, cwd=tmp_path
    )  # fmt: skip
    assert (found.code, "comes after" in found.err) == (2, True)  # the suite wrote the bad one first


GIVEN = """
name = "given"
[model.scaling]
pytorch = "assay.runner.models.scaling:module"
onnx = "assay.runner.models.scaling:onnx_model"
onnx_options = { quantile = "QUANTILE", median = "lower" }
outputs = ["iqr", "scaling"]
version = "VERSION"
[workload.small]
generator = "assay.runner.models.scaling:traces"
options = { regime = "small", channels = 8, samples = 12 }
[[case]]
check = ["parity", "benchmark"]
models = ["scaling"]
backends = ["onnxruntime"]
workloads = ["small"]
timing = { launches = 2, rounds = 1, block_ms = 10.0, max_warmup_s = 0.2 }
"""


def test_a_version_that_the_suite_makes_no_more_runs_from_the_file_that_was_recorded(tmp_path: Path):
    store, suite = Store(tmp_path / "a.duckdb"), tmp_path / "given.toml"
    for version, quantile in (("old", "round"), ("new", "linear")):
        suite.write_text(GIVEN.replace("VERSION", version).replace("QUANTILE", quantile))
        assay("run", suite, db=store.database)
    with reading(snapshot(store)) as connection:
        made = bench(connection, store, str(suite), LineProgress(0))
    name = "scaling/fp32/onnxruntime/small/"
    (old_file,), (new_file,) = (made.artifacts["scaling", "fp32", version] for version in ("old", "new"))
    old, new = (
        made.side(name + "benchmark", "old", old_file["sha256"], 0),
        made.side(name + "benchmark", "new", new_file["sha256"], 1),
    )
    assert old_file["recipe_sha256"] in old.prepared.artifacts["fp32"]["path"]
    assert new_file["recipe_sha256"] in new.prepared.artifacts["fp32"]["path"]
    answer = made.compare(old, new, "latency_p50_ms")
    assert answer.ratio is not None
    assert answer.ratio > 0
    with pytest.raises(Impossible, match="the reference of version old cannot be made again"):
        made.side(name + "parity", "old", old_file["sha256"], 0)
    shutil.rmtree(store.artifacts / old_file["recipe_sha256"][:2] / old_file["recipe_sha256"])
    with pytest.raises(Impossible, match="what was recorded is not kept here"):
        made.side(name + "benchmark", "old", old_file["sha256"], 0)
    with pytest.raises(Impossible, match="has no case"):
        made.side("scaling/fp32/onnxruntime/large/benchmark", "old", None, 0)
