"""Suites that were run on this host: which file a suite's name means here.

Rows may come from another host, and say anything. What they name is looked up by its name alone, in what this host ran
itself: a path that a row tells is never opened, because loading a suite imports the code that it names.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from assay.runner.errors import UsageError
from assay.runner.suites.suite import shipped_suites
from assay.schema.store.database import Store
from assay.schema.store.files import replace

_LONGEST_PATH = 4096


def _entry(store: Store, name: str) -> Path:
    """A file of its own for every name, so that runs of two suites at once never write the same one."""
    folder = store.database.with_name(store.database.name + ".suites")
    return folder / sha256(name.encode()).hexdigest()[:32]


def _remembered(store: Store, name: str) -> Path | None:
    try:
        with _entry(store, name).open("rb") as file:
            path = Path(file.read(_LONGEST_PATH).decode())
        return path if path.is_absolute() and path.is_file() else None
    except (OSError, ValueError):
        return None


def remember(store: Store, name: str, path: Path) -> None:
    """Keep the file that a suite is run from; the newest file of a name is the one that counts.

    Raises:
        OSError: it cannot be written beside the books.
    """
    if _remembered(store, name) == path.absolute():
        return
    entry = _entry(store, name)
    entry.parent.mkdir(parents=True, exist_ok=True)
    replace(entry, str(path.absolute()))


def suite_here(store: Store, name: str) -> str:
    """The file, or the shipped name, of a suite that a row names.

    Raises:
        UsageError: no suite of this name ships or was run on this host.
    """
    if (remembered := _remembered(store, name)) is not None:
        return str(remembered)
    if name in shipped_suites():
        return name
    raise UsageError(
        f"suite {name!r} was not run on this host, or its file is gone. A suite names code that runs when it is loaded,"
        " so no path is taken from the books. Look at the file, then name it with --suite FILE."
    )
