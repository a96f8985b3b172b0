"""What the books should contain, kept outside the database: how many bundles were ever ingested, and a chained hash.

A database that was deleted, cut or put back from an older copy shows a smaller count than this file; what the log still
has of the difference is taken again, and what is nowhere is said.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from assay.schema.store import files
from assay.schema.store.database import Store


@dataclass(frozen=True, slots=True)
class Head:
    count: int = 0
    """Bundles that were ever ingested."""
    chain: str = ""
    """See `chained`; empty where nothing was ingested, or only by a release that kept no chain."""


def chained(chain: str, bundle_id: str, manifest_sha256: str) -> str:
    """The chain with one bundle more: SHA-256 of the chain before, the bundle's id and the hash of its manifest."""
    return hashlib.sha256(f"{chain}/{bundle_id}/{manifest_sha256}".encode()).hexdigest()


def read(store: Store) -> Head | None:
    """The head as it was written last; None where there is none, or it is not readable."""
    try:
        found = re.fullmatch(r"(\d{1,15}) ([0-9a-f]{64}|-)\n", store.head.read_bytes()[:200].decode())
    except (OSError, ValueError):
        return None
    return Head(int(found[1]), found[2].strip("-")) if found else None


def write(store: Store, head: Head) -> None:
    """Replace the head, flushed to disk.

    Raises:
        OSError: it cannot be written; the one before stands.
    """
    files.replace(store.head, f"{head.count} {head.chain or '-'}\n")
