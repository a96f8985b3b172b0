"""Measures: suites become cases, cases become worker processes, their events become rows.

Read `execute.py` first: it is the whole story on one screen. `suite.py` says what can be asked, `worker.py` is what
runs inside a case's own process, `backends/` open a model, `parity/` compares, `timing/` measures, `report.py` prints.
"""
