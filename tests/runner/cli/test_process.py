"""How a command ends when it was not its own doing: exit codes that CI can tell apart, and never a traceback."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from assay.runner.cli.options import store_at
from assay.runner.errors import UsageError

RAISING = """
import errno, sys
import duckdb
from assay.runner.cli import app
def raising(*_, **__):
    raise {error}
app.app = raising
app.main()
"""


def ended(error: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RAISING.format(error=error)], capture_output=True, text=True, check=False
    )


def test_a_fault_of_assay_is_no_regression_and_its_traceback_lies_in_a_file():
    done = ended("ZeroDivisionError('by zero')")
    assert (done.returncode, "Traceback" in done.stderr) == (70, False)
    assert done.stderr.startswith(
        "error: a fault of Assay (ZeroDivisionError: by zero). It says nothing about any model."
    )
    file = Path(re.search(r"The traceback is in (\S+)\.\n", done.stderr)[1])
    assert "ZeroDivisionError: by zero" in file.read_text()
    file.unlink()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("OSError(errno.ENOSPC, 'No space left on device', 'report.md')", "No space left on device (report.md)"),
        ("OSError(errno.EROFS, 'Read-only file system')", "Read-only file system"),
        ("MemoryError('7 GB')", "not enough memory: 7 GB"),
        ("duckdb.IOException('Corrupt block')", "assay db sync"),
        ("duckdb.OutOfMemoryException('failed to allocate')", "failed to allocate"),
    ],
)
def test_a_fault_of_the_machine_is_a_sentence_and_exit_code_3(error: str, words: str):
    done = ended(error)
    assert (done.returncode, "Traceback" in done.stderr) == (3, False), done.stderr
    assert words in done.stderr


def test_a_question_that_assay_put_wrongly_is_a_fault_of_assay():
    done = ended("duckdb.BinderException('no such column')")
    assert done.returncode == 70
    Path(re.search(r"The traceback is in (\S+)\.\n", done.stderr)[1]).unlink()


def test_a_path_that_leaves_no_room_for_the_files_beside_it_is_refused(tmp_path: Path):
    long = tmp_path.joinpath(*["y" * 200] * 19)
    with pytest.raises(UsageError, match="too long a path"):
        store_at(long / "assay.duckdb")


def test_a_link_to_a_database_names_the_books_that_it_points_to(tmp_path: Path):
    real = tmp_path / "real" / "assay.duckdb"
    real.parent.mkdir()
    real.write_text("")
    (tmp_path / "link.duckdb").symlink_to(real)
    assert store_at(tmp_path / "link.duckdb").spool == real.with_name("assay.duckdb.spool")
