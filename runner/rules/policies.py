"""Policies that ship, and policy files: TOML in, checked policies out."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from assay.runner.errors import UsageError, nearest
from assay.runner.rules.policy import Policy
from assay.schema.reading import WRITTEN, read_text, reading, toml


@cache
def shipped_policies() -> dict[str, Policy]:
    """Name -> policy, from `runner/rules/shipped/*.toml`."""
    folder = Path(str(resources.files("assay.runner.rules") / "shipped"))
    return {path.stem: read_policy(path) for path in sorted(folder.glob("*.toml"))}


def find_policy(name: str) -> tuple[str, Policy]:
    """A policy by its file, or by the name of one that ships.

    Raises:
        UsageError: neither, or the file is not a policy.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return path.stem, read_policy(path)
    shipped = shipped_policies()
    if name not in shipped:
        raise UsageError(f"there is no policy {name!r}.{nearest(name, shipped)} Or give the path of a .toml file.")
    return name, shipped[name]


def read_policy(path: Path) -> Policy:
    """Raises UsageError: the file is missing, not TOML, or not a policy; names the key."""
    data = toml(read_text(path, WRITTEN, f"policy {path}"), f"policy {path.name}")
    data.pop("why", None)
    try:
        with reading(f"policy {path.name}", "a policy", ValidationError):
            return Policy.model_validate(data)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            place = ".".join(str(part) for part in problem["loc"])
            hint = nearest(str(problem["loc"][-1]), Policy.model_fields) if problem["type"] == "extra_forbidden" else ""
            lines.append(f"policy {path.name}, key '{place}': {problem['msg'].removeprefix('Value error, ')}.{hint}")
        raise UsageError("\n".join(lines)) from None
