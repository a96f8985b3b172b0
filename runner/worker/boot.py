"""What a worker's interpreter starts with.

It loads the package `assay` from where this file lies, and nothing else of ours.

Run as a file, `python -P boot.py`, by any interpreter: that one's own packages are seen, none of the parent's, and no
folder of the user's can be mistaken for one of ours. It imports nothing but the standard library.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def load_assay(package: Path) -> None:
    """Make `assay` importable from its folder, whatever `sys.path` says."""
    spec = spec_from_file_location("assay", package / "__init__.py", submodule_search_locations=[str(package)])
    assert isinstance(spec, ModuleSpec)  # noqa: S101  a .py file always has a loader
    assert spec.loader is not None  # noqa: S101
    module = module_from_spec(spec)
    sys.modules["assay"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    load_assay(Path(sys.argv[1]))
    from assay.runner.worker.main import main

    main(parent=int(sys.argv[2]))
