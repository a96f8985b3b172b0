"""Journeys in a real Chromium, against the real server: what a link shows, a reload shows again."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import Quantized
from tests.dashboard.conftest import served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def dashboard(history: Path):
    with served(history) as url:
        yield url


def settled(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_selector("#assay-done", state="attached")
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    assert page.get_by_test_id("stException").count() == 0


@pytest.mark.parametrize(
    ("path", "title", "charts", "says"),
    [
        ("/?model=scaling", "Overview", 0, "Newest state of every model"),
        (
            "/trends?metric=throughput_per_s&model=digits&log=false",
            "Trends",
            1,
            "throughput_per_s (higher is better; n = 6 points",
        ),
        ("/parity?model=scaling", "Parity", 3, "Verdicts that pass"),
        ("/trade-offs?weigh=silero_vad", "Trade-offs", 1, "silero_vad: latency against size"),
        ("/compare?a=latest&b=latest~1", "Compare", 1, "B / A, 95 % intervals"),
        ("/runs?suite=quickstart", "Runs", 0, "Select one run"),
        ("/run?id=latest~1", "Run", 1, "Cases, broken ones first"),
    ],
)
def test_a_link_shows_its_view_and_a_reload_shows_it_again(
    page: Page, dashboard: str, path: str, title: str, charts: int, says: str
):
    settled(page, dashboard + path)
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(page.get_by_text(says).first).to_be_visible()
    expect(
        page.locator(".js-plotly-plot .main-svg").first if charts else page.get_by_test_id("stDataFrame").first
    ).to_be_visible()
    assert page.locator(".js-plotly-plot").count() == charts
    before = page.url
    assert parse_qs(urlsplit(before).query) == parse_qs(urlsplit(path).query)
    page.reload()
    page.wait_for_selector("#assay-done", state="attached")
    expect(page.get_by_text(says).first).to_be_visible()
    assert page.url == before


def test_a_filter_goes_into_the_url_and_survives_a_page_switch(page: Page, dashboard: str):
    settled(page, dashboard)
    page.get_by_test_id("stMultiSelect").first.locator("input").click()
    page.get_by_role("option", name="digits").click()
    expect(page).to_have_url(f"{dashboard}/?model=digits")
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Parity").click()
    expect(page.get_by_role("heading", name="Parity", exact=True)).to_be_visible()
    expect(page).to_have_url(f"{dashboard}/parity?model=digits")
    expect(page.get_by_text("digits / int8-dynamic / onnxruntime / logits").first).to_be_visible()
    assert page.get_by_text("silero_vad / fp32").count() == 0


def test_the_failing_version_is_explained_where_it_is_shown(page: Page, dashboard: str):
    settled(page, dashboard + "/parity?model=scaling")
    expect(page.get_by_text("scaling rounded").first).to_be_visible()
    expect(page.get_by_text("0% of 3").first).to_be_visible()


@pytest.fixture
def empty_dashboard(tmp_path: Path):
    with served(tmp_path / "none.duckdb") as url:
        yield url


def test_an_empty_store_tells_the_next_command(empty_dashboard: str, page: Page):
    page.goto(empty_dashboard)
    expect(page.get_by_role("heading", name="Nothing is recorded yet")).to_be_visible()
    expect(page.get_by_text("assay run quickstart")).to_be_visible()


def test_selecting_a_run_opens_it_and_selecting_two_compares_them(page: Page, dashboard: str):
    settled(page, dashboard + "/runs")
    table = page.get_by_test_id("stDataFrame").first
    expect(table).to_be_visible()
    page.wait_for_timeout(1500)  # the table is a canvas: it has no element to wait for
    box = table.bounding_box()
    page.mouse.click(box["x"] + 15, box["y"] + 55)
    expect(page.get_by_test_id("stPageLink")).to_contain_text("Open ")
    page.mouse.click(box["x"] + 15, box["y"] + 90)
    expect(page.get_by_test_id("stPageLink")).to_contain_text("Compare these two")
    page.get_by_test_id("stPageLink").locator("a").click()
    expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
    assert {"a", "b"} <= set(parse_qs(urlsplit(page.url).query))


@pytest.fixture(scope="module")
def streaming_dashboard(streams: Path):
    with served(streams) as url:
        yield url


@pytest.mark.parametrize(
    ("look", "words"),
    [
        ("Steps", ["largest error by step", "Invariants (n =", "Which input reaches which output", "Latency by step"]),
        ("Explanations", ["First divergence: Add", "Error by node", "The chain"]),
        ("Noise", ["Proposed tolerances", "Noise by source"]),
    ],
)
def test_every_part_of_the_parity_page_is_drawn_from_its_link(
    page: Page, streaming_dashboard: str, look: str, words: list[str]
):
    settled(page, f"{streaming_dashboard}/parity?look={look}")
    for text in words:
        expect(page.get_by_text(text).first).to_be_visible()
    assert not page.locator(".stException").count()


def test_the_biased_state_is_shown_in_both_modes_and_the_choice_of_output_goes_into_the_url(
    page: Page, streaming_dashboard: str
):
    settled(page, f"{streaming_dashboard}/parity?look=Steps")
    page.get_by_text("Stream", exact=True).wait_for()
    page.locator("[data-testid=stSelectbox]").filter(has_text="Stream").locator("input").fill("encoder_state_bias")
    page.keyboard.press("Enter")
    legend = page.locator(".legendtext")
    expect(legend.filter(has_text="closed_loop: outside the tolerance").first).to_be_visible()
    expect(legend.filter(has_text="functional").first).to_be_visible()
    page.wait_for_url("**stream=encoder_state_bias**")


@pytest.fixture(scope="module")
def speed_dashboard(study: tuple[Path, dict]):
    with served(study[0]) as url:
        yield url


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("Distributions", ["Median with its 95 % interval", "Share of calls that took no longer", "Medians of blocks"]),
        ("Generations", ["Latency against step"]),
        ("Batches", ["Throughput against batch"]),
        ("Operators", ["Longest operators", "Why it is not faster"]),
    ],
)
def test_every_part_of_the_speed_page_is_drawn_from_its_link(
    page: Page, speed_dashboard: str, part: str, words: list[str]
):
    settled(page, f"{speed_dashboard}/speed?speed={part}")
    if part == "Operators":
        page.locator("[data-testid=stSelectbox]").filter(has_text="Profile").locator("input").fill("int8-tied")
        page.keyboard.press("Enter")
    for text in words:
        expect(page.get_by_text(text).first).to_be_visible()
    assert not page.locator(".stException").count()


def test_the_axes_of_a_trade_off_are_in_the_url(page: Page, speed_dashboard: str):
    settled(page, f"{speed_dashboard}/trade-offs?x=quality&y=size")
    expect(page.get_by_text("size against quality").first).to_be_visible()
    page.reload()
    expect(page.get_by_text("size against quality").first).to_be_visible()
    assert {"x", "y"} <= set(parse_qs(urlsplit(page.url).query))


@pytest.fixture(scope="module")
def quantized_dashboard(quantized: Quantized):
    with served(quantized.db) as url:
        yield url


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("Quality", ["Loss against the reference", "high-precision"]),
        ("Ledger", ["Error against depth", "Per-node data for Model Explorer"]),
        ("Search", ["What was tried", "nodes_to_exclude"]),
    ],
)
def test_every_part_of_the_quantization_page_is_drawn_from_its_link(
    page: Page, quantized_dashboard: str, part: str, words: list[str]
):
    settled(page, f"{quantized_dashboard}/quantization?quantization={part}")
    for text in words:
        expect(page.get_by_text(text).first).to_be_visible()
    assert not page.locator(".stException").count()
