"""The commit that a model lies in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from assay.runner.environment import git

_AT_ONCE = 200
"""Files that git is asked about in one command."""


def commit_of(place: Path) -> str | None:
    """The commit of the repository that a file or folder lies in; None where there is no repository, or no commit."""
    return git(_folder(place), "rev-parse", "HEAD")


def version_at(commit: str, place: Path, files: Iterable[Path]) -> str:
    """A commit in short, `-dirty` where one of these files is changed or untracked (ignored files are).

    Files that lie outside the repository of `place` are not asked about.
    """
    top = git(_folder(place), "rev-parse", "--show-toplevel")
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
        if git(root, *asked) != "":
            return f"{commit[:12]}-dirty"
    return commit[:12]


def _folder(place: Path) -> Path:
    return place if place.is_dir() else place.parent
