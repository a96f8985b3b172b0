"""The pages on what moved: triage by key and by mouse in a real browser, and what each says with nothing to show."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from assay.schema.queries import alerts as alert_queries
from assay.schema.queries.base import Filters
from assay.schema.store import ingest
from assay.schema.store.database import Store, reading, snapshot
from tests.conftest import assay
from tests.dashboard.conftest import served
from tests.dashboard.test_browser import settled
from tests.dashboard.test_pages import open_page
from tests.places import ROOT


def alerts(db: Path) -> list[dict[str, Any]]:
    with reading(snapshot(Store(db))) as connection:
        return alert_queries.alerts(connection, Filters())


@pytest.fixture(params=["alerts", "changes", "health", "trends", "overview"])
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, alarmed: Path) -> Any:
    return request.param, open_page(monkeypatch, alarmed, request.param)


def test_every_page_about_what_moved_opens(opened: tuple[str, Any]):
    name, app = opened
    assert not app.exception
    assert app.title[0].value == name.capitalize()
    assert not app.info or name == "health"  # nothing was replayed


def test_the_alerts_that_wait_are_listed_the_gravest_first(monkeypatch: pytest.MonkeyPatch, alarmed: Path):
    app = open_page(monkeypatch, alarmed, "alerts")
    table = app.dataframe[0].value
    assert list(table["severity"]) == ["critical", "high", "high"]
    assert list(table["cause"]) == ["case", "host", "model"]
    assert "only reads" in app.caption[0].value  # nobody has a name


def test_a_person_with_a_name_decides_with_a_reason_and_without_one_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, alarmed: Path, tmp_path: Path
):
    db = copied(alarmed, tmp_path)
    monkeypatch.setenv("ASSAY_TRIAGE_AS", "mira")
    app = open_page(monkeypatch, db, "alerts")
    app.button(key="step_expect").click().run()
    submit = next(button for button in app.button if button.label == "Record")
    submit.click().run()
    assert "a reason is needed" in app.error[0].value
    app.text_input(key="reason").set_value("agreed")
    next(button for button in app.button if button.label == "Record").click().run()
    assert not app.exception
    assert [
        (alert["state"], alert["decided_by"], alert["reason"]) for alert in alerts(db) if alert["state"] != "open"
    ] == [("expected", "mira", "agreed")]


def test_the_overview_says_that_alerts_wait(monkeypatch: pytest.MonkeyPatch, alarmed: Path):
    app = open_page(monkeypatch, alarmed)
    assert "3 alerts wait" in app.warning[0].value


def test_what_is_shown_where_nothing_is_recorded_names_the_command(
    monkeypatch: pytest.MonkeyPatch, history: Path, tmp_path: Path
):
    for name, command in (("alerts", "assay nightly"), ("changes", "assay detect --record")):
        app = open_page(monkeypatch, history, name)
        assert not app.exception
        assert command in app.info[0].value
    app = open_page(monkeypatch, history, "health")
    assert "assay calibrate" in app.info[0].value
    for part, command in (
        ("Schedule", "assay schedule expect"),
        ("Notifications", "assay nightly"),
        ("Bundles", "every bundle that arrived is in the books"),
    ):
        app.segmented_control(key="health_of").set_value(part).run()
        assert command in app.info[0].value
    store = Store(tmp_path / "empty.duckdb")
    ingest.sync(store)
    for name in ("alerts", "changes", "health"):
        app = open_page(monkeypatch, store.database, name)
        assert not app.exception
        assert app.info


def test_books_of_an_older_assay_name_the_command_that_brings_them_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import zstandard

    store = Store(tmp_path / "old.duckdb")
    store.serve.mkdir(parents=True)
    packed = (ROOT / "tests" / "golden" / "store-schema-0005.duckdb.zst").read_bytes()
    (store.serve / "store-000001.duckdb").write_bytes(zstandard.ZstdDecompressor().decompress(packed))
    (store.serve / "CURRENT").write_text("store-000001.duckdb\nx\n")
    app = open_page(monkeypatch, store.database, "overview")
    assert "assay db migrate" in app.error[0].value


def test_the_schedule_and_what_was_told_are_shown(monkeypatch: pytest.MonkeyPatch, alarmed: Path, tmp_path: Path):
    db = copied(alarmed, tmp_path)
    assert assay("schedule", "expect", "nightly", "--host", "gpu-1", "--reason", "x", "--by", "mira", db=db).code == 0
    (tmp_path / "nightly.toml").write_text('[[notify]]\nname = "file"\nkind = "file"\npath = "told.jsonl"\n')
    assay("nightly", tmp_path / "nightly.toml", db=db)
    app = open_page(monkeypatch, db, "health")
    app.segmented_control(key="health_of").set_value("Schedule").run()
    assert list(app.dataframe[0].value["state"]) == ["on time"]
    app.segmented_control(key="health_of").set_value("Notifications").run()
    assert list(app.dataframe[0].value["outcome"]) == ["sent"]


def copied(db: Path, folder: Path) -> Path:
    """A copy of a store that a test may write to."""
    target = folder / "books"
    shutil.copytree(db.parent, target)
    return target / db.name


@pytest.fixture(scope="module")
def triage(alarmed: Path, tmp_path_factory: pytest.TempPathFactory):
    """The dashboard for one person, on a copy of the books."""
    db = copied(alarmed, tmp_path_factory.mktemp("triage"))
    with served(db, "--triage-as", "mira") as url:
        yield url, db


@pytest.mark.browser
def test_a_link_from_a_digest_opens_its_alert(page: Page, triage: tuple[str, Path]):
    url, db = triage
    wanted = next(alert for alert in alerts(db) if alert["cause_kind"] == "model")
    settled(page, f"{url}/alerts?alert={wanted['alert_id']}")
    expect(page.get_by_role("heading", name="model m v2")).to_be_visible()
    expect(page.get_by_text("Nights before and after (n = 3 series)").first).to_be_visible()
    assert f"alert={wanted['alert_id']}" in page.url


@pytest.mark.browser
def test_an_alert_is_decided_with_the_keyboard_alone(page: Page, triage: tuple[str, Path]):
    url, db = triage
    wanted = next(alert for alert in alerts(db) if alert["state"] == "open")
    settled(page, f"{url}/alerts?alert={wanted['alert_id']}")
    expect(page.get_by_text("Reason (required; Enter records it)")).to_be_visible()
    page.keyboard.press("f")
    expect(page.get_by_text("Fixed by this version or commit")).to_be_visible()
    reason = page.get_by_label("Reason (required; Enter records it)")
    reason.focus()
    page.keyboard.type("the old layout is back")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Recorded: fixed")).to_be_visible()
    (now,) = [alert for alert in alerts(db) if alert["alert_id"] == wanted["alert_id"]]
    assert (now["state"], now["decided_by"], now["reason"]) == ("fixed", "mira", "the old layout is back")


@pytest.mark.browser
def test_changes_are_drawn_on_their_trend(page: Page, triage: tuple[str, Path]):
    settled(page, f"{triage[0]}/trends?metric=latency_p50_ms&model=m&log=false")
    expect(page.get_by_text("worse from here").first).to_be_visible()
    expect(page.get_by_text("What moved it")).to_be_visible()
