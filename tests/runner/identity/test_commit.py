"""`version = "git"` is the commit that the model lies in, and says where its files are not what was committed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from assay.runner.errors import UsageError
from assay.runner.identity.commit import commit_of, version_at
from tests.runner.identity.projects import HELPER, job, loaded, project


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder: Path) -> str:
    """Everything in the folder, committed; the commit."""
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all")
    return git(folder, "rev-parse", "HEAD")


def version_of(folder: Path, location: str = "model.py:net", **changes: object) -> str:
    with loaded(job(folder, location, version="git", **changes)) as (model, _):
        return model.version(model.identity())


def test_the_commit_is_that_of_the_model_and_not_of_the_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ASSAY_ALLOW_CODE", str(tmp_path / "models"))
    commit = repository(project(tmp_path / "models"))
    suite = project(tmp_path / "suites", model="")
    assert repository(suite) != commit
    assert version_of(suite, "../models/model.py:net") == commit[:12]


def test_a_changed_helper_makes_it_dirty_and_a_changed_neighbour_does_not(tmp_path: Path):
    folder = project(tmp_path, other="x = 1\n")
    commit = repository(folder)
    (folder / "other.py").write_text("x = 2\n")
    assert version_of(folder) == commit[:12]
    (folder / "helper.py").write_text(HELPER.replace("2.0", "3.0"))
    assert version_of(folder) == f"{commit[:12]}-dirty"


def test_an_untracked_or_ignored_source_makes_it_dirty(tmp_path: Path):
    folder = project(tmp_path)
    (folder / "helper.py").unlink()
    commit = repository(folder)
    project(folder)
    assert version_of(folder) == f"{commit[:12]}-dirty"
    (folder / ".git" / "info" / "exclude").write_text("helper.py\n")
    assert version_of(folder) == f"{commit[:12]}-dirty"


def test_a_file_that_lies_in_no_repository_has_no_commit(tmp_path: Path):
    with pytest.raises(UsageError, match='has version = "git", and .* is in no git repository'):
        version_of(project(tmp_path))
    assert commit_of(tmp_path) is None


def test_files_outside_of_the_repository_are_not_asked_about(tmp_path: Path):
    commit = repository(project(tmp_path / "a"))
    outside = project(tmp_path / "b") / "model.py"
    assert version_at(commit, tmp_path / "a" / "model.py", [outside]) == commit[:12]
