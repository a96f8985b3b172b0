"""Where a user's model or generator comes from: `file.py:name`, `package.module:name`, or a path."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assay.runner.errors import UsageError, nearest

_PACKAGE = Path(__file__).parents[1]
"""The folder of the package `assay`; not resolved, since in a checkout its rooms are symbolic links."""


def is_factory(text: str) -> bool:
    """`package.module:name` or `file.py:name`, and not a path such as `C:/model.onnx`."""
    head, colon, name = text.rpartition(":")
    return bool(colon and head) and name.isidentifier()


def present_name(reference: str, folder: Path) -> str:
    """A factory of ours by its name of today.

    `runner.models...` of release 0.5.0 and before is `assay.runner.models...`.

    Everything else comes back as it is, and so does a package `runner` of the user's own, beside the suite or in the
    working directory.
    """
    head, _, _ = reference.rpartition(":")
    if not is_factory(reference) or not head.startswith("runner.models."):
        return reference
    module = Path(*head.split(".")).with_suffix(".py")
    if any((place / module).is_file() for place in (folder, Path.cwd())):
        return reference
    return f"assay.{reference}" if (_PACKAGE / module).is_file() else reference


def module_of(reference: str, folder: Path) -> str:
    """What the module of a factory is called in `sys.modules`, once it is loaded."""
    head, _, _ = present_name(reference, folder).rpartition(":")
    return _name_of((folder / head).resolve()) if head.endswith(".py") else head


def _name_of(path: Path) -> str:
    return f"_assay_user_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"


def load_factory(reference: str, folder: Path) -> Callable[..., Any]:
    """The function that `reference` names.

    Files and modules are looked for beside the suite and in the working directory.

    Raises:
        UsageError: no such file, module or name, or importing it raised.
    """
    head, _, name = present_name(reference, folder).rpartition(":")
    for place in (Path.cwd(), folder.resolve()):
        if str(place) not in sys.path:
            sys.path.insert(0, str(place))
    try:
        if head.endswith(".py"):
            path = (folder / head).resolve()
            if not path.is_file():
                raise UsageError(f"{path} is not there (from {reference!r}).")  # noqa: TRY301  said as it is below
            spec = importlib.util.spec_from_file_location(_name_of(path), path)
            assert spec is not None  # noqa: S101  a .py file always has a loader
            loader = spec.loader
            assert loader is not None  # noqa: S101
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # dataclasses and torch.export look their module up
            sys.path.insert(0, str(path.parent))
            loader.exec_module(module)
        else:
            module = importlib.import_module(head)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"importing {head!r} failed: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        public = [attribute for attribute in dir(module) if not attribute.startswith("_")]
        raise UsageError(f"{head!r} has no {name!r}.{nearest(name, public)}")
    factory: Callable[..., Any] = getattr(module, name)
    return factory
