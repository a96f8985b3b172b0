"""Every page, by Streamlit's own test runner: no exception, the right title, and help where there is nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from assay.schema.store import ingest
from assay.schema.store.database import Store, snapshot, writing
from tests.conftest import Quantized
from tests.places import ROOT

APP = ROOT / "dashboard" / "app.py"
PAGES = {
    "overview": "Overview",
    "trends": "Trends",
    "parity": "Parity",
    "speed": "Speed",
    "trade_offs": "Trade-offs",
    "compare": "Compare",
    "runs": "Runs",
    "run": "Run",
}


def open_page(monkeypatch: pytest.MonkeyPatch, db: Path, page: str = "overview", **query: str) -> AppTest:
    monkeypatch.setenv("ASSAY_DB", str(db))
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    return app if page == "overview" else app.switch_page(f"views/{page}.py").run()


@pytest.mark.parametrize("page", [*PAGES])
def test_a_page_opens_on_a_recorded_history(monkeypatch: pytest.MonkeyPatch, history: Path, page: str):
    app = open_page(monkeypatch, history, page)
    assert not app.exception
    assert app.title[0].value == PAGES[page]


@pytest.mark.parametrize("page", ["overview", "trends", "parity", "trade_offs", "compare", "runs"])
def test_filters_that_remove_everything_say_so_and_offer_a_reset(
    monkeypatch: pytest.MonkeyPatch, history: Path, page: str
):
    app = open_page(monkeypatch, history, "overview")
    app.multiselect(key="model").select("scaling")
    app.multiselect(key="variant").select("int8-dynamic")
    app.run()
    if page != "overview":
        app.switch_page(f"views/{page}.py").run()
    assert not app.exception
    assert "match these filters" in app.info[0].value
    assert "assay run quickstart" in app.info[0].value


def test_an_empty_store_tells_the_next_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    app = open_page(monkeypatch, tmp_path / "none.duckdb")
    assert not app.exception
    assert app.title[0].value == "Nothing is recorded yet"
    assert app.code[0].value == "assay run quickstart"


def test_a_store_without_runs_says_what_is_missing_on_every_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    store = Store(tmp_path / "empty.duckdb")
    ingest.sync(store)
    for page in PAGES:
        app = open_page(monkeypatch, store.database, page)
        assert not app.exception, page
        assert app.info or app.warning, page


def test_a_store_of_a_newer_assay_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    store = Store(tmp_path / "new.duckdb")
    ingest.sync(store)
    with writing(store) as connection:
        connection.execute("insert into schema_migration values (99, 'x', 'x', now()::timestamp)")
    shutil.copyfile(store.database, snapshot(store))  # as the newer one has published it
    app = open_page(monkeypatch, store.database)
    assert not app.exception
    assert "newer Assay" in app.error[0].value


def test_an_unknown_run_lists_what_there_is(monkeypatch: pytest.MonkeyPatch, history: Path):
    app = open_page(monkeypatch, history, "run")
    app.text_input(key="id").set_value("nope").run()
    assert "No run is called 'nope'" in app.warning[0].value
    assert not app.exception


def test_comparing_the_first_run_with_the_second_shows_the_fix(monkeypatch: pytest.MonkeyPatch, history: Path):
    app = open_page(monkeypatch, history, "compare")
    frame = next(
        table.value
        for table in app.dataframe
        if "outcome" in table.value and table.value["name"].str.contains("max_abs").any()
    )
    assert "better: fail -> pass" in set(frame["outcome"])


@pytest.mark.parametrize("look", ["Receipts", "Steps", "Explanations", "Noise", "Waivers"])
def test_every_part_of_the_parity_page_opens_on_streams(monkeypatch: pytest.MonkeyPatch, streams: Path, look: str):
    app = open_page(monkeypatch, streams, "parity")
    app.segmented_control(key="look").set_value(look).run()
    assert not app.exception
    assert not app.info
    assert app.dataframe


@pytest.mark.parametrize(("look", "command"), [("Explanations", "assay explain"), ("Waivers", "assay waive")])
def test_a_part_without_anything_to_show_names_the_command_that_fills_it(
    monkeypatch: pytest.MonkeyPatch, history: Path, look: str, command: str
):
    app = open_page(monkeypatch, history, "parity")
    app.segmented_control(key="look").set_value(look).run()
    assert not app.exception
    assert command in app.info[0].value


def test_the_suspect_is_told_in_words(monkeypatch: pytest.MonkeyPatch, streams: Path):
    app = open_page(monkeypatch, streams, "parity")
    app.segmented_control(key="look").set_value("Explanations").run()
    assert "First divergence: Add" in app.error[0].value.replace("\\", "")
    assert "a bias" in app.error[0].value


def test_a_waived_failure_is_counted_with_its_owner(monkeypatch: pytest.MonkeyPatch, streams: Path):
    app = open_page(monkeypatch, streams, "parity")
    app.segmented_control(key="look").set_value("Waivers").run()
    (row,) = app.dataframe[0].value.to_dict("records")
    assert (row["state"], row["owner"], row["waived"], row["void"]) == ("in force", "mira", 2, 0)


@pytest.mark.parametrize(
    ("part", "chart"),
    [
        ("Distributions", "interval"),
        ("Generations", "Latency against step"),
        ("Batches", "Throughput against batch"),
        ("Operators", "Longest operators"),
    ],
)
def test_every_part_of_the_speed_page_is_drawn(
    monkeypatch: pytest.MonkeyPatch, study: tuple[Path, dict], part: str, chart: str
):
    app = open_page(monkeypatch, study[0], "speed", speed=part)
    app.segmented_control(key="speed").set_value(part).run()
    assert not app.exception
    charts = [element.proto.spec for element in app.get("plotly_chart")]
    assert any(chart in spec for spec in charts), [spec[:200] for spec in charts]


def test_the_speed_page_tells_the_command_for_what_is_not_there(monkeypatch: pytest.MonkeyPatch, history: Path):
    app = open_page(monkeypatch, history, "speed")
    app.segmented_control(key="speed").set_value("Operators").run()
    assert not app.exception
    assert "assay run gpt2-tiny" in app.info[0].value


@pytest.mark.parametrize("x", ["size", "memory", "quality", "bits", "throughput"])
def test_trade_offs_weigh_any_two_things(monkeypatch: pytest.MonkeyPatch, study: tuple[Path, dict], x: str):
    app = open_page(monkeypatch, study[0], "trade_offs")
    app.selectbox(key="x").set_value(x).run()
    assert not app.exception
    assert len(app.get("plotly_chart")) == 1


def test_rows_that_are_unlike_have_unlike_labels():
    from assay.dashboard.tables.comparison import alike

    key = "model=m; workload=w:abcdef123456; mode=benchmark; hardware=h; device=cpu; threads={}"
    rows = [{"model": "m", "model_version": "1", "comparability": key.format(threads)} for threads in (1, 2)]
    assert alike(rows[0]) == "m 1 on w (abcdef): benchmark, h, cpu, 1 threads"
    assert alike(rows[0]) != alike(rows[1])


@pytest.mark.parametrize(
    ("part", "chart"),
    [
        ("Quality", "Loss against the reference"),
        ("Ledger", "Error against depth"),
        ("Calibration", "Each activation by each variant"),
        ("Sensitivity", "Sensitivity of the outputs"),
        ("Search", "What was tried"),
    ],
)
def test_every_part_of_the_quantization_page_is_drawn(
    monkeypatch: pytest.MonkeyPatch, quantized: Quantized, part: str, chart: str
):
    app = open_page(monkeypatch, quantized.db, "quantization", quantization=part)
    app.segmented_control(key="quantization").set_value(part).run()
    assert not app.exception
    charts = [element.proto.spec for element in app.get("plotly_chart")]
    assert any(chart in spec for spec in charts), [spec[:200] for spec in charts]


@pytest.mark.parametrize("part", ["Quality", "Ledger", "Calibration", "Sensitivity", "Search"])
def test_the_quantization_page_tells_the_command_for_what_is_not_there(
    monkeypatch: pytest.MonkeyPatch, history: Path, part: str
):
    app = open_page(monkeypatch, history, "quantization")
    app.segmented_control(key="quantization").set_value(part).run()
    assert not app.exception
    assert "assay " in app.info[0].value
