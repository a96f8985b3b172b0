"""The commit that a model lies in."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

_AT_ONCE = 200
"""Files that git is asked about in one command."""


def commit_of(place: Path) -> str | None:
    """The commit of the repository that a file or folder lies in; None where there is no repository, or no commit."""
    return _git(_folder(place), "rev-parse", "HEAD")


def version_at(commit: str, place: Path, files: Iterable[Path]) -> str:
    """A commit in short, `-dirty` where one of these files is changed or untracked (ignored files are).

    Files that lie outside the repository of `place` are not asked about.
    """
    top = _git(_folder(place), "rev-parse", "--show-toplevel")
    if top is None:
        return f"{commit[:12]}-dirty"
    root = Path(top).resolve()
    inside = sorted({str(path) for file in files if (path := file.resolve()).is_relative_to(root)})
    for start in range(0, len(inside), _AT_ONCE):
        asked = (
            "status",
            "--porcelain",
            "--untracked-files=all",
            "--ignored=matching",
            "--",
            *inside[start : start + _AT_ONCE],
        )
        if _git(root, *asked) != "":
            return f"{commit[:12]}-dirty"
    return commit[:12]


def _folder(place: Path) -> Path:
    return place if place.is_dir() else place.parent


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],  # noqa: S607  git is found on PATH, like anywhere
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
