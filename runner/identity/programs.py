"""What a saved program is, as a hash: TorchScript (.pt) and exported programs (.pt2), without where they were made."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from contextlib import suppress
from pathlib import Path
from pickletools import genops
from typing import IO, Any

from assay.runner.identity.values import joined
from assay.runner.tensors import hash_file
from assay.schema.errors import BadDocument
from assay.schema.reading import MEASURED, json_document, reading

_NOTES = (".debug_pkl", "/version", "/serialization_id", "/byteorder", "/archive_version")
_MANGLED = re.compile(r"[./]?___torch_mangle_\d+")
"""What PyTorch adds to a name that this process has seen before."""
_WHERE = ("metadata", "stack_trace", "source_fn_stack", "nn_module_stack", "torch_fn")


def hash_program(path: Path) -> str:
    """Of the entries of a saved program, notes for debugging left out; of the bytes, where it is no archive."""
    if not zipfile.is_zipfile(path):
        return hash_file(path)
    return hash_archive(path)


def hash_archive(file: Path | IO[bytes]) -> str:
    """Of the entries of an archive that PyTorch saved."""
    with reading("the program", "an archive that PyTorch saved"), zipfile.ZipFile(file) as archive:
        entries = [
            f"{_MANGLED.sub('', name.partition('/')[2])}={_entry(archive, name)}"
            for name in archive.namelist()
            if not name.endswith(_NOTES) and "/traced_inputs" not in name
        ]
    return joined("program", *sorted(entries))


def _entry(archive: zipfile.ZipFile, name: str) -> str:
    """What an entry says: of text and of pickles (read as a list of operations, never run) without mangled names."""
    large = archive.getinfo(name).file_size > MEASURED.bytes  # what would have to be in memory whole
    if name.endswith(".json") and not large:
        with suppress(BadDocument):
            told = json_document(archive.read(name), name, MEASURED)
            return hashlib.sha256(json.dumps(_without_places(told), sort_keys=True).encode()).hexdigest()
    if name.endswith(".py") and not large:
        return joined(_MANGLED.sub("", archive.read(name).decode("utf-8", "replace")))
    if name.endswith(".pkl") and not large:
        said = (f"{operation.name} {argument!r}" for operation, argument, _ in genops(archive.read(name)))
        return joined(*(_MANGLED.sub("", word) for word in said))
    with archive.open(name) as stream:
        digest = hashlib.sha256()
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _without_places(told: Any) -> Any:
    """Without what notes the lines and folders that a node came from."""
    if isinstance(told, dict):
        return {key: _without_places(value) for key, value in told.items() if key not in _WHERE}
    return [_without_places(item) for item in told] if isinstance(told, list) else told
