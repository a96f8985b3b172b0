"""What is wrong with a run before anything of it runs: said then, and never recorded as a run that failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from assay.runner.errors import UsageError
from assay.runner.rules.contract import load_contract
from assay.runner.source import is_factory
from assay.runner.suites.case import Case
from assay.runner.suites.suite import Suite
from assay.runner.workloads import golden as goldens
from assay.schema.store.database import Store


def refuse(suite: Suite, folder: Path, store: Store, cases: Sequence[Case]) -> None:
    """Look at every name that can be looked up without a worker: goldens, and files of contracts.

    Raises:
        UsageError: one is not there, or cannot be read; the nearest golden is told.
    """
    for name in dict.fromkeys(case.golden for case in cases if case.golden):
        recorded = goldens.read(store.goldens, name)
        if not recorded.steps:
            raise UsageError(f"golden {name!r} holds no step: there is nothing to compare with.")
    for model in dict.fromkeys(case.model for case in cases):
        contract = suite.model[model].contract
        if contract and not is_factory(contract):
            load_contract(folder / contract)
