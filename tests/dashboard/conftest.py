"""One browser and one context for all pages of a process, and servers that are waited for, never guessed at."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import until
from tests.places import SOURCES

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


PATIENCE_MS = 300_000
"""What a page is waited for: a host under load takes longer than one alone, and only a fault takes for ever."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(server: subprocess.Popen, url: str) -> str:
    """The address, once the server answers there."""
    until(lambda: server.poll() is not None or _answers(url), "the dashboard answers")
    assert server.poll() is None, f"the dashboard ended with exit code {server.returncode}"
    return url


@contextmanager
def served(db: Path, *options: str) -> Iterator[str]:
    """The address of a dashboard over these books, while it is needed."""
    port = free_port()
    command = [sys.executable, "-m", "assay", "dashboard", "--port", str(port), "--db", str(db), *options]
    server = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": SOURCES}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield wait_for(server, f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health") as answer:  # noqa: S310  our own server
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="session")
def window() -> Iterator[Any]:
    """A window of a real browser: a start costs a second, and each page after the first finds its scripts loaded."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "no Chromium: run `make chromium`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        context = browser.new_context(viewport={"width": 1400, "height": 1000}, color_scheme="light")
        context.set_default_timeout(PATIENCE_MS)
        yield context
        browser.close()


@pytest.fixture
def page(window: Any) -> Iterator[Any]:
    """A page in the light; what a test leaves on it is then looked at in the dark."""
    opened = window.new_page()
    yield opened
    in_the_dark(opened)
    opened.close()


def in_the_dark(page: Any) -> None:
    """The same view on a dark screen: drawn anew, nothing raised, no text or chart lost."""
    parts = "[data-testid=stHeading], [data-testid=stDataFrame], .js-plotly-plot"
    # While a script runs the page may hold the old parts beside the new ones; both would be counted.
    page.wait_for_function("document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'")
    before = page.locator(parts).count()
    assert before
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
        ".match(/\\d+/g).slice(0, 3).every(part => part < 60)"
    )
    page.wait_for_function("([parts, n]) => document.querySelectorAll(parts).length >= n", arg=[parts, before])
    assert page.get_by_test_id("stException").count() == 0
