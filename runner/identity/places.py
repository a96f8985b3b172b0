"""Which files are a user's, and what a text is called by on every host."""

from __future__ import annotations

import os
import re
import sysconfig
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]
"""The folder of the package `assay`; not resolved, since in a checkout its rooms are symbolic links."""
_LIBRARIES = ("site-packages", "dist-packages")
_SYSTEM = ("/proc", "/sys", "/dev", "/run", "/etc", "/usr/lib", "/usr/lib64", "/usr/share", "/lib", "/lib64", "/bin")
_NOTES = re.compile(
    r"/(?:__pycache__|\.git|\.config|\.triton|\.nv|torch_extensions|torchinductor_[^/]*|\.cache/matplotlib)/"
    r"|/(?:models|datasets|spaces)--[^/]+/(?:refs|\.no_exist|\.locks)/|/\.locks/"
)
"""Where tools, and the hub's cache, keep notes for this host alone: no part of any model."""
_OF_A_FILE = re.compile(r"_assay_user_[0-9a-f]+")
"""The name that `assay.runner.source` gives to the module of a file: made of the place where it lies."""
_DEVICE = re.compile(r"(?:cpu|cuda|mps|xpu|hpu)(?::\d+)?")


@cache
def _standard_library() -> tuple[str, ...]:
    places = {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib")}
    return tuple({*places, *(os.path.realpath(place) for place in places)})


@cache
def _own() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Folders of Assay itself, and those of the models that it ships."""
    rooms = [_PACKAGE / room for room in ("runner", "schema", "dashboard")]
    models = _PACKAGE / "runner" / "models"
    return (
        tuple({str(_PACKAGE), *(str(room) for room in rooms), *(os.path.realpath(room) for room in rooms)}),
        tuple({str(models), os.path.realpath(models)}),
    )


def _within(path: str, folders: tuple[str, ...]) -> bool:
    return any(path.startswith(folder.rstrip("/") + "/") for folder in folders)


def is_users_code(path: str) -> bool:
    """Whether a source file is the user's, or one of the models that ship: not a library's, or the rest of Assay."""
    seen = _ways_to(path)
    own, models = _own()
    if any(_within(one, models) for one in seen):
        return True
    return not any(
        any(part in _LIBRARIES for part in Path(one).parts) or _within(one, (*_standard_library(), *own))
        for one in seen
    )


def is_users_file(path: str) -> bool:
    """The same of any file that was read; what the system holds, and what tools note for this host, is nobody's."""
    seen = _ways_to(path)
    return is_users_code(path) and not any(_within(one, _SYSTEM) or _NOTES.search(one) for one in seen)


def _ways_to(path: str) -> set[str]:
    return {os.path.abspath(path), os.path.realpath(path)}  # noqa: PTH100  links stay as they are written


def called(path: Path, folder: Path) -> str:
    """A file's name that is the same on every host: relative to the suite's folder, or its last part alone."""
    for one, other in ((path, folder), (path.resolve(), folder.resolve())):
        if one.is_relative_to(other):
            return one.relative_to(other).as_posix()
    return path.name


def portable(text: str, folder: Path) -> str:
    """A text as it is on every host: places of this one are called by their names, and devices are all one."""
    text = _OF_A_FILE.sub("<module>", text)
    if _DEVICE.fullmatch(text):
        return "<device>"
    if not text.startswith("/") or "\n" in text or len(text) > 4096:
        return text
    return f"<{called(Path(text), folder)}>" if os.path.lexists(text) else text
