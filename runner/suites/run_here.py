"""Suites that were run on this host: which file a suite's name means here.

Rows may come from another host, and say anything. What they name is looked up by its name alone, in what this host ran
itself: a path that a row tells is never opened, because loading a suite imports the code that it names.
"""

from __future__ import annotations

import json
from pathlib import Path

from assay.runner.errors import UsageError
from assay.runner.suites.suite import shipped_suites
from assay.schema.documents import strict
from assay.schema.store.database import Store
from assay.schema.store.files import replace

_LARGEST = 1 << 20


def _register(store: Store) -> Path:
    return store.database.with_name(store.database.name + ".suites.json")


def _known(store: Store) -> dict[str, str]:
    try:
        content = _register(store).read_bytes()
        found = json.loads(content) if len(content) <= _LARGEST else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return {name: path for name, path in found.items() if isinstance(path, str)} if isinstance(found, dict) else {}


def remember(store: Store, name: str, path: Path) -> None:
    """Keep the file that a suite is run from; the newest file of a name is the one that counts.

    Raises:
        OSError: it cannot be written beside the books.
    """
    known = _known(store)
    if known.get(name) == str(path.absolute()):
        return
    store.database.parent.mkdir(parents=True, exist_ok=True)
    replace(_register(store), strict({**known, name: str(path.absolute())}, indent=1, sort_keys=True))


def suite_here(store: Store, name: str) -> str:
    """The file, or the shipped name, of a suite that a row names.

    Raises:
        UsageError: no suite of this name ships or was run on this host.
    """
    remembered = _known(store).get(name)
    if remembered is not None and Path(remembered).is_file():
        return remembered
    if name in shipped_suites():
        return name
    raise UsageError(
        f"suite {name!r} was not run on this host, or its file is gone. A suite names code that runs when it is loaded,"
        " so no path is taken from the books. Look at the file, then name it with --suite FILE."
    )
