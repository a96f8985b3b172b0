"""Every parser, under documents that somebody made to break it: a value, or the error that it documents."""

from __future__ import annotations

import json
import random
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.runner.errors import AssayError, BadDocument
from assay.runner.workloads import golden, read_arrays
from assay.runner.workloads.golden_files import read_reference
from tests.fuzz import mutated, parsers

PARSERS = parsers()
OF_JSON = sorted(name for name, (_, valid) in PARSERS.items() if valid[:1] in (b"{", b"[") and name != "contract")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", PARSERS)
def test_each_parser_takes_a_valid_document(name: str):
    parse, valid = PARSERS[name]
    parse(valid)


@pytest.mark.parametrize("name", PARSERS)
@QUICK
@given(seed=st.integers(0, 2**32))
def test_a_mutated_document_is_a_value_or_the_documented_error(name: str, seed: int):
    parse, valid = PARSERS[name]
    with suppress(AssayError):
        parse(mutated(valid, random.Random(seed)))


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    made = dict(value) if isinstance(value, dict) else list(value)
    made[path[0]] = replaced(value[path[0]], path[1:], new)
    return made


@pytest.mark.parametrize("name", OF_JSON)
@QUICK
@given(data=st.data())
def test_a_value_of_another_kind_anywhere_is_a_value_or_the_documented_error(name: str, data):
    parse, valid = PARSERS[name]
    document = json.loads(valid)
    path = data.draw(st.sampled_from([*places(document)]))
    with suppress(AssayError):
        parse(json.dumps(replaced(document, path, data.draw(VALUES))).encode())


def header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (header("(1000000000000,)"), "4000000000000 bytes is announced"),
        (header("(-1,)"), "negative length"),
        (header("(2,)", "'|O'"), "Python objects"),
        (header("(1,)") + b"abcdmore", "more than its array"),
        (header("(1.5,)"), "as numpy writes it"),
        (b"", "as numpy writes it"),
    ],
)
def test_an_array_that_lies_of_itself_is_refused_before_memory_is_given_to_it(tmp_path: Path, entry, words):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", entry)
    with pytest.raises(BadDocument, match=words):
        read_arrays(tmp_path / "a.npz")
    (tmp_path / "a.npy").write_bytes(entry)
    if "more" not in words:  # numpy reads what a single file's array needs and no more
        with pytest.raises(BadDocument):
            read_arrays(tmp_path / "a.npy")


def test_an_archive_whose_sizes_cannot_be_true_is_refused(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.arange(4))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24  # the uncompressed size in the central directory (APPNOTE 4.3.12)
    content[at : at + 4] = (1 << 31).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(BadDocument, match="claim to hold 2147483648"):
        read_arrays(path)


def test_arrays_of_every_layout_come_back_as_they_were(tmp_path: Path):
    made = {
        "c": np.arange(6).reshape(2, 3),
        "f": np.asfortranarray(np.ones((2, 3))),
        "none": np.zeros((0, 3)),
        "one": np.array(7),
        "text": np.array(["a", "bc"]),
    }
    np.savez_compressed(tmp_path / "a.npz", **made)
    read = read_arrays(tmp_path / "a.npz")
    assert {name: (array.dtype, array.shape, array.tolist()) for name, array in read.items()} == {
        name: (array.dtype, array.shape, array.tolist()) for name, array in made.items()
    }


def test_the_index_of_a_golden_names_no_file_but_by_a_hash(tmp_path: Path):
    entry = {"sha256": "../../secret", "dtype": "float32", "shape": [1], "bytes": 4}
    (tmp_path / "g.json").write_text(
        json.dumps({"format": 1, "facts": {}, "steps": [{"inputs": {"x": entry}, "outputs": {}}]})
    )
    with pytest.raises(BadDocument, match="steps.0.inputs.x.sha256"):
        golden.read(tmp_path, "g")


def test_a_reference_that_is_a_pipe_is_refused(tmp_path: Path):
    import os

    os.mkfifo(tmp_path / "r.jsonl")
    with pytest.raises(BadDocument, match="pipe"):
        [*read_reference(tmp_path / "r.jsonl")]
