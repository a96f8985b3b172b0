"""Which files are a user's, and what a text is called by on every host."""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Iterator
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


@cache
def is_users_code(path: str) -> bool:
    """Whether a source file is the user's, or one of the models that ship: not a library's, or the rest of Assay."""
    return not any(_is_librarys(one) for one in _ways_to(path))


def is_users_file(path: str) -> bool:
    """The same of any file that was read: a configuration, a table, weights.

    What the system holds and what tools note for this host is nobody's. Nor does the user's cache count: what is loaded
    from there is seen in the model, and a file that the first run writes is read by the second one alone.
    """
    own, _ = _own()
    for one in _ways_to(path):
        if _is_librarys(one) or _within(one, (*_SYSTEM, *_caches())) or _NOTES.search(one):
            return False
        if one.endswith(".py") and _within(one, own):  # what of Assay counts is known by its modules
            return False
    return True


def _is_librarys(path: str) -> bool:
    own, models = _own()
    if _within(path, models):
        return False
    return any(f"/{name}/" in path for name in _LIBRARIES) or _within(path, (*_standard_library(), *own))


@cache
def _caches() -> tuple[str, ...]:
    places = (os.environ.get("XDG_CACHE_HOME"), os.path.expanduser("~/.cache"))  # noqa: PTH111  no home is no error
    return tuple(place for place in places if place)


def _ways_to(path: str) -> Iterator[str]:
    """A file as it is written, and where its links lead; the first usually says it."""
    yield os.path.abspath(path)  # noqa: PTH100
    yield os.path.realpath(path)


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
