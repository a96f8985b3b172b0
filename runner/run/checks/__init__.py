"""What a run does with the cases of each check.

A file and a class for each name in `assay.runner.suites.checks.CHECKS`.

`check.py` says what a class may decide; `told.py`, `compared.py` and `timed.py` are what several have in common.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.runner.suites.checks import CHECKS

if TYPE_CHECKING:
    from assay.runner.run.checks.check import Check
    from assay.runner.run.checks.timed import TimedCheck


@cache
def check_named(name: str) -> Check:
    """The check of a name, loaded when it is asked for.

    Raises:
        KeyError: there is no such check.
    """
    CHECKS[name]
    found: Check = import_module(f"{__name__}.{name}").CHECK
    return found


def timed_check(name: str) -> TimedCheck:
    """The same, of a check whose row says that it is timed."""
    check: Any = check_named(name)
    timed: TimedCheck = check
    return timed
