"""Where a user's code is found: files, modules, and packages whose files import each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.runner.errors import UsageError
from assay.runner.source import load_factory


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A suite's folder with a package, a folder that is none by its looks, and a file alone; forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    files = {
        "usersown/__init__.py": "",
        "usersown/layers.py": "class Base: pass\nsize = 3\n",
        "usersown/model.py": "from .layers import Base, size\nimport usersown.layers as same\n"
        "def make(): return size, Base is same.Base\n",
        "usersown/inner/__init__.py": "",
        "usersown/inner/deep.py": "from ..layers import size\ndef make(): return size + 1\n",
        "usersplain/parts.py": "size = 5\n",
        "usersplain/model.py": "from .parts import size\ndef make(): return size\n",
        "usersplain/broken.py": "from .nowhere import size\ndef make(): return size\n",
        "json/parts.py": "size = 7\n",
        "json/model.py": "from .parts import size\ndef make(): return size\n",
        "alone.py": "def make(): return 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("reference", "beside", "gives"),
    [
        ("usersown/model.py:make", ".", (3, True)),
        ("usersown.model:make", ".", (3, True)),
        ("usersown/inner/deep.py:make", ".", 4),
        ("usersown.inner.deep:make", ".", 4),
        ("model.py:make", "usersown", (3, True)),
        ("deep.py:make", "usersown/inner", 4),
        ("usersplain/model.py:make", ".", 5),
        ("json/model.py:make", ".", 7),
        ("alone.py:make", ".", 1),
    ],
)
def test_a_file_of_a_package_imports_its_neighbours(folder: Path, reference: str, beside: str, gives: object):
    assert load_factory(reference, folder / beside)() == gives


def test_a_file_that_changed_is_read_again(folder: Path):
    assert load_factory("usersown/model.py:make", folder)() == (3, True)
    (folder / "usersown" / "model.py").write_text("def make(): return 'anew'\n")
    assert load_factory("usersown/model.py:make", folder)() == "anew"


def test_a_neighbour_that_is_not_there_is_named_as_the_user_knows_it(folder: Path):
    with pytest.raises(
        UsageError, match=r"importing 'usersplain/broken.py' failed: .*No module named '[\w.]*nowhere'"
    ) as e:
        load_factory("usersplain/broken.py:make", folder)
    assert "_assay_user_" not in str(e.value)
