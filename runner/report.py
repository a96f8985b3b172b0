"""What people read: progress while it runs (stderr), tables when it is over (stdout), JSON for machines."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from runner.execute import Finished
from runner.record import Outcome, as_document, summary
from runner.timing import statistics
from runner.turns import timed_calls

_COLOURS = {
    "pass": "green",
    "ok": "green",
    "fail": "red",
    "failed": "red",
    "crashed": "red",
    "timeout": "red",
    "vacuous": "yellow",
    "waived": "cyan",
    "unknown": "yellow",
}


def console() -> Console:
    """For results. Piped, it is wide and plain, so that no row is cut."""
    tty = sys.stdout.isatty()
    return Console(markup=False) if tty else Console(width=200, no_color=True, markup=False)  # names are not markup


def print_json(document: Any) -> None:
    """One document; infinities and NaN as Python's json writes and reads them (`Infinity`, `NaN`)."""
    print(json.dumps(document, indent=1, default=str))  # noqa: T201  stdout is for results


def number(value: float | None, digits: int = 4) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.{digits}g}"


def size(value: float | None) -> str:
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def interval(value: float | None, low: float | None, high: float | None) -> str:
    return number(value) if low is None or high is None else f"{number(value)} [{number(low, 3)}, {number(high, 3)}]"


def coloured(word: str) -> Text:
    return Text(word, style=_COLOURS.get(word, ""))


class LineProgress:
    """For logs and cron: one line a case, none of it on stdout."""

    def __init__(self, total: int, budget_s: float | None = None) -> None:
        """`total` cases; with a `budget_s`, as many as there is time for."""
        self._total, self._budget_s, self._done, self._started = total, budget_s, 0, time.monotonic()

    def starting(self, what: str) -> None:
        del what  # a log needs what happened, not what is about to

    def finished(self, outcome: Outcome) -> None:
        self._done += 1
        print(  # noqa: T201  stderr is where progress goes
            f"{self.count()} {headline(outcome)} ({outcome.duration_s:.1f} s{self.eta()})",
            file=sys.stderr,
            flush=True,
        )

    def count(self) -> str:
        return f"[{self._done}]" if self._budget_s is not None else f"[{self._done}/{self._total}]"

    def eta(self) -> str:
        if self._budget_s is not None:
            left = self._budget_s - (time.monotonic() - self._started)
            return f", at most {left:.0f} s left" if left > 0 else ", the budget is spent: the last round"
        if not self._done or self._done >= self._total:
            return ""
        left = (time.monotonic() - self._started) / self._done * (self._total - self._done)
        return f", about {left:.0f} s left"


class LiveProgress(LineProgress):
    """For a terminal: what is running now, and how long it will take."""

    def __init__(self, total: int, budget_s: float | None = None) -> None:
        super().__init__(total, budget_s)
        self._console = Console(stderr=True, markup=False)
        self._live = Live(console=self._console, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def starting(self, what: str) -> None:
        self._live.update(Text(f"{self.count()} {what} ...{self.eta()}", style="dim"))

    def finished(self, outcome: Outcome) -> None:
        self._done += 1
        self._live.console.print(Text.assemble(coloured(state(outcome)), " ", headline(outcome)))


def state(outcome: Outcome) -> str:
    """How a case ended, and `fail` for one that ran and failed a verdict."""
    counted = [j for subject, _, j in outcome.judgements if not outcome.case.expect or subject == "expectation"]
    failed = any(judgement.outcome == "fail" for judgement in counted)
    if outcome.case.expect and not failed and outcome.status == "vacuous":
        return "ok"
    return "fail" if failed and outcome.status == "ok" else outcome.status


def headline(outcome: Outcome) -> str:
    """A case in one line: its worst verdict, or its latency, or why it broke."""
    text = f"{outcome.case.name} ({outcome.version}): "
    if outcome.error_message:
        return text + f"{outcome.status}: {outcome.error_message.splitlines()[0][:200]}"
    if expectation := next((j for subject, _, j in outcome.judgements if subject == "expectation"), None):
        return text + expectation.reason
    for wanted in ("fail", "vacuous", "unknown", "waived"):
        for subject, name, judgement in outcome.judgements:
            if judgement.outcome == wanted:
                return text + f"{wanted}: {name if subject == 'parity' else f'{subject} {name}'}: {judgement.reason}"
    if outcome.blocks:
        median = statistics.quantile(timed_calls(outcome), 0.5).value
        what = "a token" if outcome.case.check == "generation" else "median"
        return text + f"{what} {median:.4g} ms{ratio_words(outcome)}"
    if outcome.layers:
        top = max(outcome.layers, key=lambda layer: layer["share"])
        return text + f"{len(outcome.layers)} operators; {top['name']} takes {top['share']:.0%}"
    return text + verdict_words(outcome)


def ratio_words(outcome: Outcome) -> str:
    """The ratio to what the case is compared with, what it is taken for, and what it would need to be taken for anything."""
    if outcome.ratio is None:
        return ""
    margin = outcome.case.timing.margin
    verdict = outcome.ratio.outcome(margin)
    needed = outcome.ratio.needed(margin)
    more = f": {needed} launches would decide" if needed else ""
    within = f" within {margin:.0%}" if verdict == "equivalent" else ""
    return f", {outcome.ratio.value:.3g}x of {outcome.compared_with} ({verdict}{within}{more})"


_FEW = 3


def verdict_words(outcome: Outcome) -> str:
    """Verdicts in few words: what did not pass by name, and how many of each kind passed."""
    words = [f"{name}: {j.outcome}" for _, name, j in outcome.judgements if j.outcome != "pass"]
    passed: dict[str, list[str]] = {}
    for subject, name, judgement in outcome.judgements:
        if judgement.outcome == "pass":
            passed.setdefault(subject, []).append(f"{name}: {judgement.grade or 'pass'}")
    for subject, names in passed.items():
        few = subject in ("parity", "measurement") and len(names) <= _FEW
        words += names if few else [f"{len(names)} {_SUBJECTS.get(subject, subject)} pass"]
    return ", ".join(words)


_SUBJECTS = {
    "parity": "outputs",
    "measurement": "limits",
    "invariant": "invariants",
    "repeat": "repeated",
    "lengths": "at other lengths",
}


def run_document(finished: Finished) -> dict[str, Any]:
    return {
        "run": finished.run_id, "exit_code": int(finished.exit_code), "summary": summary(finished.outcomes),
        "cases": [as_document(outcome) for outcome in finished.outcomes],
    }  # fmt: skip


_NARROW = 120
"""Below this many columns a table would cut the names of cases."""


def print_run(finished: Finished) -> None:
    """A table of the cases, or a line each on a narrow terminal; then what failed, and why."""
    target = console()
    if target.width < _NARROW:
        target.print(f"run {finished.run_id}")
        for outcome in finished.outcomes:
            target.print(Text.assemble(coloured(state(outcome)), " ", headline(outcome)))
        return
    table = Table(
        "case",
        "version",
        "status",
        "verdicts",
        "latency ms",
        "ratio",
        "size",
        title=f"run {finished.run_id}",
        title_justify="left",
    )
    for outcome in finished.outcomes:
        values = {m["metric"]: m for m in as_document(outcome)["measurements"]}
        p50, ratio = values.get("latency_p50_ms") or values.get("token_latency_p50_ms"), values.get("latency_ratio")
        words = verdict_words(outcome)
        table.add_row(
            outcome.case.name, outcome.version, coloured(state(outcome)), words or (outcome.error_type or ""),
            interval(p50["value"], p50["low"], p50["high"]) if p50 else "",
            interval(ratio["value"], ratio["low"], ratio["high"]) if ratio else "",
            size(outcome.artifact.bytes) if outcome.artifact else "",
        )  # fmt: skip
    target.print(table)
    for outcome in finished.outcomes:
        if (
            outcome.error_message
            or state(outcome) != "ok"
            or any(j.outcome == "waived" for _, _, j in outcome.judgements)
        ):
            target.print(headline(outcome), style=_COLOURS.get("fail"), highlight=False)


_SHOWN_NODES = 12


def print_explanation(answer: Any) -> None:
    """The first suspect in words, the nodes with the largest errors of their own, and the chain."""
    target = console()
    walk = answer.walk
    if walk:
        target.print(
            f"{answer.case['name']}, step {answer.step}: {walk['aligned']} tensors of {walk['nodes']} nodes aligned by {walk['by']}, in {walk['segments']} segments"
        )
    if answer.note:
        target.print(answer.note)
    if suspect := answer.suspect:
        layer = f", layer {suspect['layer']}" if suspect["layer"] else ""
        target.print(
            f"first divergence: {suspect['op_type']} {suspect['node']!r}{layer}; in the reference: {suspect['reference_node']}",
            style=_COLOURS["fail"],
            highlight=False,
        )
        target.print(
            f"  by itself: max |error| {number(suspect['local_max_abs'])}, relative L2 {number(suspect['local_rel_l2'])}; rounding explains {number(suspect['expected_rel_l2'])}"
        )
        if suspect["hint"]:
            target.print(f"  hint: {suspect['hint']}")
        target.print(f"  reproduce it alone: python {answer.reproduction}/reproduce.py")
    elif walk:
        target.print("no node is wrong by itself: every one computes what the reference does, up to rounding")
    worst = sorted(answer.entries, key=lambda entry: entry["local_rel_l2"] or 0.0, reverse=True)[:_SHOWN_NODES]
    shown = sorted(worst, key=lambda entry: entry["position"])
    if shown:
        print_table(
            shown,
            [
                "position",
                "node",
                "op_type",
                "layer",
                "reference_node",
                "local_rel_l2",
                "accumulated_rel_l2",
                "expected_rel_l2",
                "suspect",
            ],
            "largest errors of their own",
        )
    if answer.blame:
        moved = [edge for edge in answer.blame if edge["share"] is not None]
        print_table(
            moved or answer.blame,
            ["edge_from", "edge_to", "output", "max_abs", "rel_l2", "share"],
            "the chain: what each link adds",
        )
        for problem in dict.fromkeys(edge["problem"] for edge in answer.blame if edge["problem"]):
            target.print(problem, style="dim", highlight=False)


def print_table(rows: Sequence[Mapping[str, Any]], columns: Iterable[str], title: str = "") -> None:
    """Rows as a table; numbers short, times to the second."""
    names = list(columns)
    table = Table(title=title or None, title_justify="left")
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*[_cell(name, row.get(name)) for name in names])
    console().print(table)


def _cell(name: str, value: Any) -> Text | str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return size(value) if name.endswith("bytes") else number(value)
    if name.endswith("bytes") and isinstance(value, int):
        return size(value)
    if name.endswith("_at"):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return coloured(str(value)) if str(value) in _COLOURS else str(value)
