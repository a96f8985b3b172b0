"""How far a run is, on stderr: live on a terminal, a line a case elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.live import Live
from rich.text import Text

from assay.runner.reports.console import SafeConsole, coloured, number, unescaped
from assay.runner.run.checks import check_named
from assay.runner.run.outcome import Outcome, is_main
from assay.schema.queries.outcome import came_to


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
        self._console = SafeConsole(file=unescaped(sys.stderr), markup=False)
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
    """What a case came to, in one word."""
    return came_to(outcome.status, [(subject, judgement.outcome) for subject, _, judgement in outcome.judgements])


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
    return text + (check_named(outcome.case.check).headline(outcome) or verdict_words(outcome))


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
        if subject == "lengths":
            words.append(f"pass {_sizes(outcome)}".strip())
        else:
            words += names if few else [f"{len(names)} {_SUBJECTS.get(subject, subject)} pass"]
    worst = worst_ratios(outcome)
    if worst and any(" at least " in j.rule for subject, _, j in outcome.judgements if subject == "parity"):
        words.append(f"SQNR {number(worst['sqnr_db'])} dB, cosine {number(worst['cosine'], 6)}")
    return ", ".join(words)


def worst_ratios(outcome: Outcome) -> dict[str, float | None]:
    """SQNR and cosine of the float output that is worst; {} where nothing differs, or nothing was compared."""
    known = [
        r
        for r in outcome.receipts
        if r["step"] < 0 and is_main(r) and r["sqnr_db"] is not None and "float" in str(r["expected_dtype"])
    ]
    worst = min(known, key=lambda r: float(r["sqnr_db"]), default=None)
    return {} if worst is None or worst["max_abs"] == 0 else {key: worst[key] for key in ("sqnr_db", "cosine")}


def _sizes(outcome: Outcome) -> str:
    """At how many other sizes, and of what."""
    return next((f["message"] for f in outcome.told.get("finding", []) if f["kind"] == "other_sizes"), "")


_SUBJECTS = {
    "parity": "outputs",
    "measurement": "limits",
    "invariant": "invariants",
    "repeat": "repeated",
}
