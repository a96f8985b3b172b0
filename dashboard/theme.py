"""One colour for each thing, on every page, whatever is filtered; one way to write each unit."""

from __future__ import annotations

import hashlib

PALETTE = ("#2f6fde", "#d9772b", "#2a9d6f", "#a14fc4", "#c2473f", "#0f9bb3", "#8a7a1f", "#d05c9c", "#5b6b7f", "#6c4bd8")
"""Readable on white and on near-black alike."""
_KNOWN = {"pytorch": PALETTE[1], "onnxruntime": PALETTE[0], "tensorrt": PALETTE[2], "fake": PALETTE[8]}
OUTCOMES = {"pass": "#2a9d6f", "fail": "#d1443c", "waived": "#0f9bb3", "vacuous": "#c99a1c", "unknown": "#7b8794"}
ICONS = {"pass": "✓", "fail": "✗", "waived": "~", "vacuous": "∅", "unknown": "?"}
"""A verdict is never told by its colour alone."""


def colour(thing: str) -> str:
    """The colour of a backend, variant or model: the same on every page and in every selection."""
    if thing in _KNOWN:
        return _KNOWN[thing]
    return PALETTE[int(hashlib.sha256(thing.encode()).hexdigest(), 16) % len(PALETTE)]


def symbol(thing: str) -> str:
    """A marker shape, so that two things of one colour are still two."""
    shapes = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon")
    return shapes[int(hashlib.sha256(thing.encode()).hexdigest(), 16) // len(PALETTE) % len(shapes)]


def number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4g}"  # noqa: PLR0124  NaN is what differs from itself


def element(value: float) -> str:
    """One element of an array; NaN and infinity are values like any other."""
    return "NaN" if value != value else f"{value:.6g}"  # noqa: PLR0124  NaN is what differs from itself


def size(value: float | None) -> str:
    """Bytes in binary units."""
    if value is None or value != value:  # noqa: PLR0124
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def markdown(text: str) -> str:
    """Text from the database, for a page: nothing in it is markup."""
    return "".join("\\" + c if c in "\\`*_{}[]()<>#+-.!|$:~" else c for c in text)
