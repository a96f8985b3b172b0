"""Where things lie that tests read: one place, so that a test can move without counting folders."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
FIXTURES = ROOT / "tests" / "fixtures"
SOURCES = str(ROOT / "src")
"""What a fresh interpreter needs on its PYTHONPATH to import `assay` from this checkout."""
