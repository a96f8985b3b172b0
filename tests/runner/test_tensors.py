"""Named arrays of every dtype: what they are called, hashed and stored as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from assay.runner.errors import UsageError
from assay.runner.tensors import dtype_name, dtype_named, hash_array, storable, texts
from assay.runner.workloads import golden

NARROW = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "int4", "uint4")
NUMBERS = ("bool", "int8", "uint8", "int64", "uint64", "float16", "float32", "float64", "complex64", "complex128")


def test_the_same_text_has_one_hash_and_one_name_whatever_array_holds_it():
    ways = [np.array(["cat", "é"], object), np.array(["cat", "é"]), np.array([b"cat", "é".encode()])]
    assert len({hash_array(array) for array in ways}) == 1
    assert {dtype_name(array) for array in ways} == {"string"}
    assert len({hash_array(np.array(said, object)) for said in (["ab", "c"], ["a", "bc"], [["ab", "c"]])}) == 3


def test_hashes_of_numbers_are_those_of_release_0_5_0():
    """Of dtype name, shape and bytes: goldens of then are still found, and still what was recorded."""
    import hashlib

    for array in (np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((), np.int64), np.ones(3, ml_dtypes.bfloat16)):
        before = hashlib.sha256(f"{array.dtype.name}{array.shape}".encode() + array.tobytes())
        assert hash_array(array) == before.hexdigest()


@pytest.mark.parametrize("value", [None, 1.5, ["a"]])
def test_objects_that_are_no_text_are_refused_and_named(value: Any):
    array = np.empty(2, object)
    array[0], array[1] = "a", value
    with pytest.raises(ValueError, match=f"element 1 is a {type(value).__name__}, not text"):
        texts(array)


def test_a_dtype_is_found_by_the_name_that_contracts_write():
    assert [dtype_named(name).name for name in ("bfloat16", "int4", "uint64")] == ["bfloat16", "int4", "uint64"]
    assert dtype_named("string") == np.dtype(object)
    with pytest.raises(ValueError, match="there is no dtype 'floot32'"):
        dtype_named("floot32")


@pytest.mark.parametrize("name", [*NARROW, "float16", "int64", "string"])
def test_numpys_own_files_hold_every_value_without_pickling(name: str, tmp_path: Path):
    array = np.array(["a", "日"], object) if name == "string" else np.array([1, 2]).astype(dtype_named(name))
    np.save(tmp_path / "a.npy", storable(array), allow_pickle=False)
    assert np.load(tmp_path / "a.npy", allow_pickle=False).tolist() == array.tolist()


def arrays_of(name: str) -> st.SearchStrategy[Any]:
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    if name == "string":
        said = st.text(max_size=5)
        return shapes.flatmap(
            lambda shape: st.lists(said, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))).map(
                lambda words: np.array([*words, ""], object)[:-1].reshape(shape)
            )
        )
    if name in NARROW:
        codes = 16 if "4" in name.removeprefix("float8_e") and "int" in name else 256
        drawn = hnp.arrays(np.uint8, shapes, elements=st.integers(0, codes - 1))
        return drawn.map(lambda array: array.astype(np.float32).astype(dtype_named(name)))
    return hnp.arrays(np.dtype(name), shapes)


@pytest.mark.parametrize("name", [*NARROW, *NUMBERS, "string"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_golden_gives_back_every_dtype_as_it_was(name: str, data: st.DataObject, tmp_path_factory: Any):
    array = data.draw(arrays_of(name))
    folder = tmp_path_factory.mktemp("goldens")
    golden.write(folder, "kept", {}, [({"x": array}, {"y": array})])
    kept = golden.read(folder, "kept")
    read = kept.outputs(0)["y"]
    assert (read.shape, read.dtype) == (array.shape, array.dtype)
    assert read.tolist() == array.tolist() if name == "string" else read.tobytes() == array.tobytes()
    assert hash_array(read) == hash_array(array)
    assert golden.verify(kept) == []


def test_damaged_text_in_a_golden_is_named_with_its_record(tmp_path: Path):
    words = np.array([f"word {i}" for i in range(3)], object)
    golden.write(tmp_path, "kept", {}, [({"x": words}, {"y": words})])
    (stored,) = [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    stored.write_bytes(b"[" + stored.read_bytes()[1:-1] + b",")
    with pytest.raises(UsageError, match="golden 'kept', step 0, outputs 'y' is damaged"):
        golden.read(tmp_path, "kept").outputs(0)
