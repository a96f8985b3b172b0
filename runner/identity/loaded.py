"""What a model's code is: the source files that Python has loaded for it, and the files that were read meanwhile.

A module that is loaded by other code first, such as a workload's generator, is found by the imports that a source file
of the model writes, wherever they stand in it.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

from assay.runner.identity.places import called, is_users_code, is_users_file
from assay.runner.tensors import hash_file

_OF_A_FILE = "_assay_user_"
"""How `assay.runner.source` names the module of a file: after the place where it lies, which is another elsewhere."""
_SHIPPED = "assay.runner.models"
_watching: list[Watched] = []
_hooked: list[bool] = []


@dataclass(slots=True)
class Watched:
    """Modules that are loaded and files that are read while it is entered, as often as it is.

    Only what goes through Python's `open` is heard: a library that opens a file in C is not.
    """

    modules: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    _before: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        if not _hooked:  # a hook stays for the life of the process
            sys.addaudithook(_hear)
            _hooked.append(True)
        self._before = set(sys.modules)
        _watching.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _watching.remove(self)
        self.modules |= set(sys.modules) - self._before

    def files(self) -> list[Path]:
        """Files of the user's that were read and not written: configurations, weights, tables.

        Source files of loaded modules are not: which of them count, `sources` says.
        """
        modules = {file for module in [*sys.modules.values()] if (file := getattr(module, "__file__", None))}
        names = sorted(name for name in self.read - self.written - modules if not name.endswith((".pyc", ".pyo")))
        return [Path(name) for name in names if Path(name).is_file() and is_users_file(name)]

    def sources(self, *roots: str) -> dict[str, Path]:
        """Source files by module: of `roots`, of what was loaded meanwhile, and of what those import."""
        found: dict[str, Path] = {}
        waiting = [*roots, *sorted(self.modules)]
        while waiting:
            name = waiting.pop()
            if name in found or (path := _source_of(name)) is None:
                continue
            found[name] = path
            waiting += _imported(path, sys.modules[name])
        return found


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _watching:
        return
    place, mode, flags = arguments
    if not isinstance(place, (str, bytes)):  # a file descriptor was opened before
        return
    writes = isinstance(flags, int) and flags & os.O_ACCMODE != os.O_RDONLY
    writes = writes or (isinstance(mode, str) and any(letter in mode for letter in "wax+"))
    path = os.path.abspath(os.fsdecode(place))  # noqa: PTH100  links stay as they are written
    for watched in _watching:
        (watched.written if writes else watched.read).add(path)


def _source_of(name: str) -> Path | None:
    """The source file of a loaded module that is the user's; None of any other."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or name in ("__main__", "__mp_main__"):
        return None
    ours = name == "assay" or name.startswith("assay.")
    if (ours and not name.startswith(f"{_SHIPPED}.")) or not (ours or is_users_code(file)):
        return None
    path = Path(file)
    return path if path.is_file() else None


def _imported(path: Path, module: ModuleType) -> Iterator[str]:
    """Loaded modules that a source file's import statements name, functions' own among them."""
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _absolute(node: ast.ImportFrom, module: ModuleType) -> str:
    """The module that a `from` statement names; a relative one counts from its package."""
    if not node.level:
        return node.module or ""
    package = str(getattr(module, "__package__", "") or "").split(".")
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def label_of(module: str, path: Path | None = None) -> str:
    """What a module is called by: its name, or that of its file where its name is made of the place that it lies in."""
    if not module.startswith(_OF_A_FILE):
        return module
    file = path or getattr(sys.modules.get(module), "__file__", None)
    return Path(str(file)).name if file else "user"


def parts_of(sources: dict[str, Path], files: list[Path], folder: Path) -> dict[str, str]:
    """SHA-256 of every source file and every other file, by what they are called on any host.

    Several that are called the same are one part.
    """
    found: dict[str, set[str]] = {}
    for name, path in sources.items():
        found.setdefault(f"source {label_of(name, path)}", set()).add(_hash_source(path))
    known = {path.resolve() for path in sources.values()}
    for path in files:
        if path.resolve() not in known:
            found.setdefault(f"file {called(path, folder)}", set()).add(hash_file(path))
    return {
        label: min(hashes) if len(hashes) == 1 else hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()
        for label, hashes in found.items()
    }


def _hash_source(path: Path) -> str:
    """Of the bytes; of compiled code without its header, which holds a time."""
    return hashlib.sha256(path.read_bytes()[16:]).hexdigest() if path.suffix == ".pyc" else hash_file(path)
