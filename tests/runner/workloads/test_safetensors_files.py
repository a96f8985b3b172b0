"""Safetensors as arrays, float8 included, which the library's own reader for numpy does not have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assay.runner.errors import UsageError
from assay.runner.tensors import dtype_named
from assay.runner.workloads import read_arrays

library = pytest.importorskip("safetensors.numpy")


def test_arrays_are_what_the_library_wrote(tmp_path: Path):
    wrote = {
        "a": np.arange(6, dtype=np.float64).reshape(2, 3),
        "b": np.ones((), np.uint16),
        "c": np.zeros((0, 4), bool),
    }
    library.save_file(wrote, tmp_path / "x.safetensors", metadata={"made": "here"})
    read = read_arrays(tmp_path / "x.safetensors")
    assert {name: (a.dtype, a.shape, a.tolist()) for name, a in read.items()} == {
        name: (a.dtype, a.shape, a.tolist()) for name, a in wrote.items()
    }


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64"])
def test_dtypes_that_numpy_lacks_are_read_by_pytorchs_files(tmp_path: Path, name: str):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    save_file({"x": torch.tensor([[1.0, -2.0]]).to(getattr(torch, name))}, tmp_path / "x.safetensors")
    read = read_arrays(tmp_path / "x.safetensors")["x"]
    assert (read.dtype, read.tolist()) == (dtype_named(name), [[1.0, -2.0]])


@pytest.mark.parametrize("kept", [0, 5, 20, -1])
def test_a_file_that_is_cut_short_is_damaged_and_no_traceback(tmp_path: Path, kept: int):
    library.save_file({"a": np.arange(6.0)}, tmp_path / "x.safetensors")
    whole = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(whole[:kept])
    with pytest.raises(UsageError, match="cannot be read as .safetensors"):
        read_arrays(tmp_path / "x.safetensors")
