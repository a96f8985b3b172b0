"""The roll: every bundle that was ever ingested, by name, with a chained hash, in a file outside the database.

A database that was deleted, cut or put back from an older copy lacks what the roll names. What the log still has of it
is taken again, and what is nowhere is said.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable

from assay.schema.store import files
from assay.schema.store.database import Store

_LINE = re.compile(r"(\S{1,200}) ([0-9a-f]{64}|-)")


def chained(chain: str, bundle_id: str, manifest_sha256: str) -> str:
    """The chain with one bundle more: SHA-256 of the chain before, the bundle's id and the hash of its manifest."""
    return hashlib.sha256(f"{chain}/{bundle_id}/{manifest_sha256}".encode()).hexdigest()


def read(store: Store) -> dict[str, str]:
    """Bundle -> chain with it (`-` of one from before there was a chain), in order; what is no line is left out."""
    try:
        text = store.roll.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return {}
    return {found[1]: found[2] for line in text.splitlines() if (found := _LINE.fullmatch(line))}


def ends_with(store: Store, count: int, bundle_id: str, chain: str | None) -> bool:
    """Whether the roll has so many lines and this one last: then it is the database's own, as the chain proves.

    The file is read in parts, and nothing of it is kept.
    """
    try:
        with store.roll.open("rb") as file:
            lines, tail = 0, b""
            while part := file.read(1 << 20):
                lines, tail = lines + part.count(b"\n"), (tail + part)[-400:]
    except FileNotFoundError:
        return False
    return lines == count and ("\n" + tail.decode("utf-8", "replace")).endswith(f"\n{bundle_id} {chain or '-'}\n")


def append(store: Store, taken: Iterable[tuple[str, str | None]]) -> None:
    """Put bundles at the end of a roll that `ends_with` what came before them.

    A line that a crash has cut is made good by the next `write`.

    Raises:
        OSError: it cannot be written.
    """
    with store.roll.open("a") as file:
        file.writelines(f"{name} {chain or '-'}\n" for name, chain in taken)
        file.flush()
        os.fsync(file.fileno())


def write(store: Store, taken: Iterable[tuple[str, str | None]]) -> None:
    """Bring the roll up to the bundles of the database, in their order; what it has beside them stays.

    Raises:
        OSError: it cannot be written; the one before stands.
    """
    there = read(store)
    called = {bundle_id: chain or "-" for bundle_id, chain in taken}
    if all(there.get(bundle_id) == chain for bundle_id, chain in called.items()) and store.roll.exists():
        return
    files.replace(store.roll, "".join(f"{name} {chain}\n" for name, chain in (there | called).items()))
