"""The public Python API: what a notebook or another tool asks of Assay. Import it from `assay`.

Everything here is also a command; both call the same functions. Nothing else of the packages below `assay` is promised
to stay as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from assay.runner.errors import EnvironmentMissing, ExitCode, UsageError
from assay.schema.errors import StoreError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from assay.runner.run.outcome import Outcome
    from assay.schema.queries.comparison import RunComparison

DEFAULT_BOOKS = Path(".assay/assay.duckdb")
Rows = list[dict[str, Any]]


class Books:
    """The newest published snapshot of a database, read-only; a context manager.

    Runs are named as on the command line: an id or its unique prefix, `latest`, `latest~1`, `version:X`, `branch:X`.

    >>> with open_books("nightly/assay.duckdb") as books:
    ...     books.verdicts("latest")
    ...     books.frame("select name, metric, value from measurement join case_result using (case_id)")
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, closing: ExitStack) -> None:
        self._connection = connection
        self._closing = closing

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the snapshot; it can be asked nothing more."""
        self._closing.close()

    def resolve(self, run: str, suite: str = "") -> str:
        """The id of a run by any of its names, among those of a suite if one is named.

        Raises:
            StoreError: no run, or more than one, has this name.
        """
        from assay.schema.queries import comparison

        return comparison.resolve(self._connection, run, suite)

    def runs(self, suite: str = "") -> Rows:
        """The newest 200 runs (of one suite, if it is named), newest first."""
        from assay.schema.queries import base
        from assay.schema.queries import runs as run_queries

        return run_queries.runs(self._connection, base.Filters(suite=suite))

    def cases(self, run: str = "latest") -> Rows:
        """Every case of a run: what really ran, its status, and the command that reproduces it."""
        from assay.schema.queries import runs as run_queries

        return run_queries.cases_of(self._connection, self.resolve(run))

    def measurements(self, run: str = "latest") -> Rows:
        """Every figure of a run with its unit, 95 % interval (None where there is none) and number of samples."""
        from assay.schema.queries import runs as run_queries

        return run_queries.measurements_of(self._connection, self.resolve(run))

    def verdicts(self, run: str = "latest") -> Rows:
        """Every verdict of a run: pass, fail, vacuous or waived, with its reason."""
        from assay.schema.queries import parity as parity_queries

        return parity_queries.verdicts_of(self._connection, self.resolve(run))

    def compare(self, a: str = "latest~1", b: str = "latest", *, force: bool = False) -> RunComparison:
        """Speed, size and parity of run `b` over run `a`; unlike things get no ratio unless `force` is asked for.

        Raises:
            StoreError: no run, or more than one, has one of the names.
        """
        from assay.schema.queries import comparison

        return comparison.compare_runs(self._connection, *comparison.resolve_pair(self._connection, a, b), force=force)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """Rows of any SELECT over the tables of the books (docs/tables.md); `$name` in it is a parameter.

        Raises:
            UsageError: DuckDB does not take the query; its message is in it.
        """
        relation = self._run(sql, parameters)
        columns = [column[0] for column in relation.description]
        return [dict(zip(columns, row, strict=True)) for row in relation.fetchall()]

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """The same as a pandas frame; without a row it has its columns all the same.

        Raises:
            UsageError: DuckDB does not take the query.
            EnvironmentMissing: pandas is not installed.
        """
        try:
            import pandas  # noqa: F401, ICN001  only whether it is there
        except ImportError:
            raise EnvironmentMissing(
                "a frame needs the package 'pandas'. Install it with: pip install 'assay[dashboard]'"
            ) from None
        return self._run(sql, parameters).df()

    def _run(self, sql: str, parameters: Mapping[str, Any] | None) -> duckdb.DuckDBPyConnection:
        import duckdb

        try:
            return self._connection.cursor().execute(sql, dict(parameters) if parameters else None)
        except duckdb.Error as error:
            raise UsageError(f"the books cannot answer this query: {error}") from None


def open_books(database: str | Path = DEFAULT_BOOKS) -> Books:
    """The newest published snapshot of a database.

    Raises:
        StoreError: nothing is recorded there, it cannot be read, or it waits for `assay db migrate`.
        UsageError: the path is a folder.
    """
    from assay.runner.cli.options import published

    stack = ExitStack()
    return Books(stack.enter_context(published(Path(database))), stack)


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that has ended, as `assay run --json` prints it."""

    run_id: str
    exit_code: ExitCode
    cases: Rows
    """A case each: status, error, verdicts, receipts, findings, measurements."""
    not_published: str | None
    """Why the snapshot does not show the run yet; its rows are safe in the spool."""

    @property
    def passed(self) -> bool:
        """Whether nothing failed, nothing was missing, and something was compared or measured."""
        return self.exit_code is ExitCode.OK


class _Silent:
    def starting(self, what: str) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...


def run_suite(
    suite: str | Path,
    database: str | Path = DEFAULT_BOOKS,
    *,
    only: str | None = None,
    versions: Mapping[str, str] | None = None,
) -> RunResult:
    """Run a suite, by path or by the name of one that ships, and record it.

    `only` and `versions` are as on the command line.

    >>> run_suite("quickstart", only="scaling").passed
    True

    Raises:
        UsageError: the suite is wrong, or there is none of this name; nothing ran.
        NothingMeasured: `only` matches no case.
        StoreError: a row could not be written; what was written before is intact.
    """
    from assay.runner.cli.options import store_at
    from assay.runner.reports.run import as_document
    from assay.runner.run import execute
    from assay.runner.suites.run_here import remember
    from assay.runner.suites.suite import find_suite, load_suite

    path, store = find_suite(str(suite)), store_at(Path(database))
    loaded = load_suite(path)
    remember(store, loaded.name, path)
    options = execute.Options(str(suite), dict(versions or {}), only)
    finished = execute.run_suite(loaded, path.parent.absolute(), store, options, _Silent())
    cases = [as_document(outcome) for outcome in finished.outcomes]
    return RunResult(finished.run_id, finished.exit_code, cases, finished.not_published)


def diff(expected: str | Path, actual: str | Path, *, atol: float = 0.0, rtol: float = 0.0) -> Rows:
    """Two files of arrays (npy, npz, safetensors), array by array: the receipt with its `outcome` and `reason`.

    An element is within when |actual - expected| <= atol + rtol * |expected|; integers and bools have to be equal.
    Equal paths, empty arrays and constant references are `vacuous`, never a pass.

    Raises:
        UsageError: a file is missing, damaged or of an unknown kind.
    """
    from assay.runner.parity.diff import diff_files
    from assay.runner.rules.policy import Policy

    compared = diff_files(Path(expected), Path(actual), Policy(atol=atol, rtol=rtol))
    return [
        {"name": name, "outcome": judgement.outcome, "reason": judgement.reason, **receipt}
        for name, (receipt, judgement) in compared.items()
    ]


__all__ = ["Books", "RunResult", "StoreError", "diff", "open_books", "run_suite"]
