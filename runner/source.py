"""Where a user's model or generator comes from: `file.py:name`, `package.module:name`, or a path."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from assay.runner import permission
from assay.runner.errors import UsageError, nearest

_PACKAGE = Path(__file__).parents[1]
"""The folder of the package `assay`; not resolved, since in a checkout its rooms are symbolic links."""


def is_factory(text: str) -> bool:
    """`package.module:name` or `file.py:name`, and not a path such as `C:/model.onnx`."""
    head, colon, name = text.rpartition(":")
    return bool(colon and head) and name.isidentifier()


def present_name(reference: str, folder: Path) -> str:
    """A factory or generator of ours by its name of today.

    `runner.models...` and `runner.workloads...` of release 0.5.0 and before are `assay.runner...`.

    Everything else comes back as it is, and so does a package `runner` of the user's own, beside the suite or in the
    working directory.
    """
    head, _, _ = reference.rpartition(":")
    if not is_factory(reference) or not head.startswith("runner."):
        return reference
    ours = _module_at(_PACKAGE, head)
    if ours is None or any(_module_at(place, head) not in (None, ours) for place in (folder, Path.cwd())):
        return reference  # in a checkout the working directory has the very same file
    return f"assay.{reference}"


def _module_at(place: Path, name: str) -> Path | None:
    """The file of a module or package of this dotted name that lies there."""
    path = place.joinpath(*name.split("."))
    return next((file.resolve() for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


_RELATIVE = re.compile(r"^[ \t]*from[ \t]+\.", re.MULTILINE)


def _name_of(path: Path, folder: Path) -> str:
    """What a file is imported as: alone, or inside its package where it has one, so that relative imports work.

    Its package begins below the suite's folder or, outside of it, at its highest folder with an `__init__.py`. It has
    its own name where nobody else has that already.
    """
    alone = f"_assay_user_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    top = _top(path, folder)
    if top is None:
        return alone
    names = path.relative_to(top).with_suffix("").parts
    return ".".join(names if _is_at(names[0], top / names[0]) else (alone, *names))


def _top(path: Path, folder: Path) -> Path | None:
    """The folder that a file's package lies in; None where it is no part of one, or of one without need."""
    top = path.parent
    while (top / "__init__.py").is_file() and top != top.parent:
        top = top.parent
    if path.is_relative_to(folder) and folder in top.parents and _RELATIVE.search(path.read_text("utf-8", "replace")):
        top = folder  # folders without an `__init__.py` are packages too
    return top if top != path.parent else None


def _is_at(package: str, place: Path) -> bool:
    """Whether the package of this name is, or would be, the one in that folder."""
    try:
        held = sys.modules.get(package)
        spec = importlib.util.find_spec(package) if held is None else held.__spec__
    except (ImportError, ValueError):
        return False
    return spec is not None and str(place) in [
        str(Path(where).resolve()) for where in spec.submodule_search_locations or ()
    ]


def _packages(name: str, top: Path) -> None:
    """Import the packages that a module lies in, as an import by name would."""
    outer, *inner = name.split(".")[:-1]
    if outer.startswith("_assay_user_") and outer not in sys.modules:
        root = ModuleType(outer)
        root.__path__ = [str(top)]
        sys.modules[outer] = root
    importlib.import_module(".".join([outer, *inner]))


def module_of(reference: str, folder: Path) -> str:
    """What the module of a factory is called in `sys.modules`, once it is loaded."""
    head, _, _ = present_name(reference, folder).rpartition(":")
    return _name_of((folder / head).resolve(), folder.resolve()) if head.endswith(".py") else head


def load_factory(reference: str, folder: Path) -> Callable[..., Any]:
    """The function that `reference` names.

    Files and modules lie beside the suite or below it, or are Assay's models and workloads; everything else runs only
    where it was allowed (`assay.runner.permission`).

    Raises:
        UsageError: no such file, module or name, importing it raised, or nobody allowed it.
    """
    head, _, name = present_name(reference, folder).rpartition(":")
    for place in (Path.cwd(), folder.resolve()):
        if str(place) not in sys.path:
            sys.path.insert(0, str(place))
    (_refuse_file if head.endswith(".py") else _refuse_module)(reference, head, folder)
    try:
        if head.endswith(".py"):
            module = _load_file(reference, (folder / head).resolve(), folder.resolve())
        else:
            module = importlib.import_module(head)
    except UsageError:
        raise
    except Exception as error:
        words = re.sub(r"_assay_user_[0-9a-f]{12}\.?", "", str(error))
        raise UsageError(f"importing {head!r} failed: {type(error).__name__}: {words}") from error
    if not hasattr(module, name):
        public = [attribute for attribute in dir(module) if not attribute.startswith("_")]
        raise UsageError(f"{head!r} has no {name!r}.{nearest(name, public)}")
    factory: Callable[..., Any] = getattr(module, name)
    if permission.is_ours(head) and not permission.is_ours(str(getattr(factory, "__module__", ""))):
        permission.require_module(
            reference, str(getattr(factory, "__module__", None) or name)
        )  # what it imports itself
    return factory


def _load_file(reference: str, path: Path, folder: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"{path} is not there (from {reference!r}).")
    top = _top(path, folder)
    if top is not None and str(top) not in sys.path:
        sys.path.insert(0, str(top))
    own_name = _name_of(path, folder)
    if top is not None:
        _packages(own_name, top)
    spec = importlib.util.spec_from_file_location(own_name, path)
    assert spec is not None  # noqa: S101  a .py file always has a loader
    loader = spec.loader
    assert loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and torch.export look their module up
    sys.path.insert(0, str(path.parent))
    loader.exec_module(module)
    return module


def _refuse_file(reference: str, head: str, folder: Path) -> None:
    """Raises UsageError: the file lies, or a link leads, out of the suite's folder, and nobody allowed it."""
    path = (folder / head).resolve()
    if not path.is_relative_to(folder.resolve()):
        permission.require_file(reference, path, "lies outside of the suite's folder, and is code")


def _refuse_module(reference: str, head: str, folder: Path) -> None:
    """Raises UsageError: importing it would run what is not the suite's nor ours, and nobody allowed it.

    A name that somebody else has already (`os.py` beside the suite) would mean theirs.
    """
    if permission.is_ours(head) or permission.may_import(head):
        return
    parts, place = head.split("."), folder.resolve()
    if parts[0] not in sys.modules and importlib.util.find_spec(parts[0]) is None:
        return  # there is none: importing it says so
    files = [_module_at(place, ".".join(parts[: count + 1])) for count in range(len(parts))]
    top = place / parts[0]
    beside = files[-1] is not None and all(file is None or file.is_relative_to(place) for file in files)
    if not beside or not (_is_at(parts[0], top) if files[0] is None or top.is_dir() else _is_file(parts[0], files[0])):
        permission.require_module(reference, head)


def _is_file(module: str, path: Path) -> bool:
    """Whether the module of this name is, or would be, that file."""
    held = sys.modules.get(module)
    spec = importlib.util.find_spec(module) if held is None else held.__spec__
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path
