"""Reference files of other harnesses, kept: three encodings of one array, npz, Polygraphy, and damage."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.runner.errors import UsageError
from assay.runner.workloads import golden
from assay.runner.workloads.golden_import import import_golden

X = np.array([[1.5, -2.25], [0.1, 3e7]], np.float32)
N = np.array([3, 4], np.int64)


def encode(array: Any, how: str, folder: Path, name: str) -> Any:
    if how == "list":
        return array.tolist()
    if how == "base64":
        return {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "data_b64": base64.b64encode(array.tobytes()).decode(),
        }
    np.save(folder / f"{name}.npy", array)
    return {"npy_path": f"{name}.npy"}


def write_jsonl(folder: Path, how: str, steps: int = 3) -> Path:
    lines = [json.dumps({"model": "m", "seed": 42})]
    for step in range(steps):
        inputs = {"x": encode(X + step, how, folder, f"x{step}"), "n": encode(N, how, folder, f"n{step}")}
        lines.append(
            json.dumps({"chunk": step, "inputs": inputs, "outputs": {"y": encode(X * 2, how, folder, f"y{step}")}})
        )
    path = folder / "reference.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def imported(path: Path, store: Path, **options: Any) -> tuple[golden.Golden, str | None]:
    defaults: dict[str, Any] = {"inputs": None, "version": "imported", "max_steps": None, "partial": False}
    return import_golden(store, "kept", path, **{**defaults, **options})


@pytest.mark.parametrize("how", ["list", "base64", "npy"])
def test_each_encoding_gives_back_the_same_arrays(how: str, tmp_path: Path):
    kept, problem = imported(write_jsonl(tmp_path, how), tmp_path / "goldens")
    assert problem is None
    assert kept.facts["seed"] == 42
    again = golden.read(tmp_path / "goldens", "kept")
    for step in range(3):
        assert again.inputs(step)["x"].tobytes() == (X + np.float32(step)).tobytes()
        assert again.inputs(step)["n"].dtype == np.int64
        assert again.outputs(step)["y"].tobytes() == (X * 2).tobytes()


def test_equal_arrays_are_stored_once(tmp_path: Path):
    imported(write_jsonl(tmp_path, "base64", steps=5), tmp_path / "goldens")
    assert len(list((tmp_path / "goldens/objects").rglob("*.*"))) == 7  # five x, one n, one y


def test_a_file_cut_short_names_the_record_and_keeps_nothing_unless_asked(tmp_path: Path):
    path = write_jsonl(tmp_path, "base64")
    path.write_text(path.read_text()[:-30])
    with pytest.raises(UsageError, match=r"record 2 \(line 4\).*cut short.*--partial"):
        imported(path, tmp_path / "goldens")
    assert golden.names(tmp_path / "goldens") == []
    kept, problem = imported(path, tmp_path / "goldens", partial=True)
    assert len(kept.steps) == 2
    assert "record 2" in str(problem)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"dtype": "float32", "shape": [2, 2], "data_b64": "AAAA"}, "3 bytes came"),
        ({"dtype": "float33", "shape": [1], "data_b64": ""}, "float33"),
        ({"dtype": "float32", "data_b64": ""}, "shape"),
        ({"npy_path": "../../etc/passwd"}, "outside the folder"),
        ({"npy_path": "missing.npy"}, "missing.npy"),
        ([[1, 2], [3]], "ragged|inhomogeneous"),
        ("text", "numbers"),
    ],
)
def test_a_damaged_array_names_its_record_and_its_name(damage: Any, words: str, tmp_path: Path):
    record = {"inputs": {"x": [1.0]}, "outputs": {"y": damage}}
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps({"inputs": {"x": [1.0]}, "outputs": {"y": [2.0]}}) + "\n" + json.dumps(record) + "\n")
    with pytest.raises(UsageError, match=words) as caught:
        imported(path, tmp_path / "goldens")
    assert "record 1 (line 2), outputs 'y'" in str(caught.value)


def test_a_record_with_other_arrays_than_the_first_is_refused(tmp_path: Path):
    path = tmp_path / "bad.jsonl"
    path.write_text(
        '{"inputs": {"x": [1.0]}, "outputs": {"y": [2.0]}}\n{"inputs": {"x": [1.0]}, "outputs": {"z": [2.0]}}\n'
    )
    with pytest.raises(UsageError, match="record 1 has other arrays than the first: y, z"):
        imported(path, tmp_path / "goldens")


@pytest.mark.parametrize("text", ["", "\n", "[1]\n", '{"inputs": {}}\n', "{", '{"a": 1}\n'])
def test_a_file_without_records_is_refused(text: str, tmp_path: Path):
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"record|JSON"):
        imported(path, tmp_path / "goldens")


def test_npz_files_are_a_step_each(tmp_path: Path):
    folder = tmp_path / "steps"
    folder.mkdir()
    for step in range(3):
        np.savez(folder / f"step-{step}.npz", **{"input.x": X + step, "expected.y": X, "actual.y": X * 0})
    kept, _ = imported(folder, tmp_path / "goldens")
    assert [float(kept.inputs(i)["x"][0, 0]) for i in range(3)] == [1.5, 2.5, 3.5]
    assert kept.outputs(1)["y"].tobytes() == X.tobytes()


def test_results_that_polygraphy_saved_are_read_with_their_inputs(tmp_path: Path):
    from polygraphy.comparator import IterationResult, RunResults
    from polygraphy.json import save_json

    results = RunResults()
    results.add([IterationResult({"y": X}, runtime=0.1, runner_name="r")], runner_name="r")
    results.save(str(tmp_path / "out.json"))
    save_json([{"x": X + 1}], str(tmp_path / "in.json"))
    kept, _ = imported(tmp_path / "out.json", tmp_path / "goldens", inputs=tmp_path / "in.json")
    assert kept.inputs(0)["x"].tobytes() == (X + 1).tobytes()
    assert kept.outputs(0)["y"].tobytes() == X.tobytes()
    with pytest.raises(UsageError, match="--inputs"):
        imported(tmp_path / "out.json", tmp_path / "goldens")


def test_arrays_that_do_not_compress_are_mapped_and_not_copied(tmp_path: Path):
    noise = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    golden.write(tmp_path, "g", {}, [({"x": noise}, {"y": np.zeros(10_000, np.float32)})])
    kept = golden.read(tmp_path, "g")
    assert isinstance(kept.inputs(0)["x"], np.memmap)
    assert not isinstance(kept.outputs(0)["y"], np.memmap)
    assert golden.verify(kept) == []
    (raw,) = (tmp_path / "objects").rglob("*.raw")
    raw.write_bytes(raw.read_bytes()[:-4])
    assert "step 0, inputs 'x'" in golden.verify(kept)[0]


def test_an_output_that_never_changes_although_the_inputs_do_is_found_in_the_index(tmp_path: Path):
    steps = [({"x": X + step}, {"y": X, "z": X + step}) for step in range(3)]
    assert golden.unchanging_outputs(golden.write(tmp_path, "g", {}, steps)) == ["y"]
    assert golden.unchanging_outputs(golden.write(tmp_path, "h", {}, steps[:1])) == []


def test_text_in_a_reference_of_another_harness_is_kept_as_text(tmp_path: Path):
    record = {"inputs": {"word": ["a", "é"]}, "outputs": {"label": [["cat"], ["dog"]]}}
    (tmp_path / "said.jsonl").write_text(json.dumps(record) + "\n")
    kept, _ = imported(tmp_path / "said.jsonl", tmp_path / "goldens")
    assert kept.inputs(0)["word"].tolist() == ["a", "é"]
    assert kept.outputs(0)["label"].tolist() == [["cat"], ["dog"]]


def test_text_among_numbers_is_no_array(tmp_path: Path):
    (tmp_path / "said.jsonl").write_text(json.dumps({"inputs": {"x": [1, "a"]}, "outputs": {"y": [1]}}) + "\n")
    with pytest.raises(UsageError, match="record 0 .*inputs 'x' cannot be read: .*numbers or text alone"):
        imported(tmp_path / "said.jsonl", tmp_path / "goldens")
