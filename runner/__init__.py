"""Measures: suites become cases, cases become worker processes, their events become rows.

Read `run/execute.py` first: it is the whole story on one screen. From the door down: `cli` parses and prints; `nights`
is what cron does; `investigate` runs again to answer a question; `books` writes down what people decide; `reports` are
rows to words; `run` is suite to rows; `suites` say what is asked; `worker` is a case's own process. What the worker
works with: `quality`, `divergence`, `backends`, `recipes`, `models`, `parity`, `graphs`, `workloads`. Pure, at the
bottom: `rules`, `timing`, `regressions`. A room knows only the floors below it; docs/architecture.md has the staircase.
"""
