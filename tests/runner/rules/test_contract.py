"""Contracts: files read and written, masks, padding, and steps that keep them or not."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.runner.errors import UsageError
from assay.runner.models import decoder, silero_vad, streaming_encoder
from assay.runner.rules.contract import Contract, Padding, fit, load_contract, parse_contract, to_toml

SEED_JSON = {
    "model": "encoder",
    "inputs": [
        {"name": "audio_signal", "dtype": "float32", "shape": ["B", 80, "T"]}, {"name": "length", "dtype": "int64", "shape": ["B"]},
        {"name": "cache_last_time", "dtype": "float32", "shape": [24, "B", 1024, 4]},
        {"name": "cache_last_channel_len", "dtype": "int64", "shape": ["B"]},
    ],
    "outputs": [
        {"name": "encoder_output", "dtype": "float32", "shape": ["B", 1024, 1]},
        {"name": "cache_last_time_out", "dtype": "float32", "shape": [24, "B", 1024, "K_out"]},
        {"name": "cache_last_channel_len_out", "dtype": "int64", "shape": ["B"]},
    ],
    "profiles": {
        "first_chunk": {"audio_signal.T": {"min": 592, "opt": 592, "max": 592}, "B": {"min": 1, "opt": 1, "max": 1}},
        "subsequent": {"audio_signal.T": {"min": 584, "opt": 584, "max": 584}, "B": {"min": 1, "opt": 1, "max": 1}},
        "unified": {"audio_signal.T": {"min": 584, "opt": 592, "max": 592}, "B": {"min": 1, "opt": 1, "max": 8}},
    },
    "padding": {"cache_last_time_out": {"axis": 3, "side": "right", "value": 0.0}},
    "validation": ["encoder_output.shape[-1] == 1 for all chunks", "cache_last_channel_len_out >= 0"],
}  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        streaming_encoder.contract("tiny"),
        streaming_encoder.contract("full", isolated=True),
        silero_vad.contract(),
        decoder.contract(),
        SEED_JSON,
    ],
)
def test_a_contract_written_as_toml_is_read_back_as_it_was(data: dict[str, Any], tmp_path: Path):
    contract = parse_contract(data)
    path = tmp_path / "model.contract.toml"
    path.write_text(to_toml(contract))
    assert load_contract(path) == contract
    assert load_contract(path).sha256() == contract.sha256()


def test_the_json_of_an_older_harness_is_read_with_its_profiles_padding_and_assertions(tmp_path: Path):
    path = tmp_path / "encoder.contract.json"
    path.write_text(json.dumps(SEED_JSON))
    contract = load_contract(path)
    assert {(s.output, s.input) for s in contract.state} == {
        ("cache_last_time_out", "cache_last_time"),
        ("cache_last_channel_len_out", "cache_last_channel_len"),
    }
    assert contract.state_inputs["cache_last_time"].pad == Padding(axis=3, side="right", fill=0.0)
    assert contract.profile["first_chunk"].steps == "first"
    assert contract.profile["subsequent"].steps == "steady"
    assert contract.profile["unified"].symbols == {"T": (584, 592, 592), "B": (1, 1, 8)}
    assert contract.invariants == ("encoder_output.shape[-1] == 1", "cache_last_channel_len_out >= 0")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("state = [{ output = 'a_out' }]", "input"),
        ("invariants = ['x **']", "no expression"),
        ("[inputs.x]\nshape = [1]\n[outputs.y]\nshape = [1]\n[[state]]\noutput = 'z'\ninput = 'x'", "no output 'z'"),
        ("[inputs.x]\nshape = [1]\ninvariant = []", "invariant"),
        ("invariant = []", "Did you mean|nearest|invariants"),
        ("[inputs.x]\ndtype = 'float33'", "float33"),
        ("[inputs.x]\nshape = [1]\n[outputs.y]\nvalid_length = { tensor = 'lenght', axis = 0 }", "lenght"),
        ("inputs = [", "TOML"),
    ],
)
def test_a_wrong_contract_names_the_place(text: str, words: str, tmp_path: Path):
    path = tmp_path / "wrong.contract.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        load_contract(path)
    assert "wrong.contract.toml" in str(caught.value)


def test_a_mask_keeps_the_first_or_last_entries_of_each_row():
    lengths = {"n": np.array([1, 3])}
    array = np.zeros((2, 3))
    start = Contract.model_validate(
        {"inputs": {"n": {}}, "outputs": {"y": {"valid_length": {"tensor": "n", "axis": 1}}}}
    )
    end = Contract.model_validate(
        {"inputs": {"n": {}}, "outputs": {"y": {"valid_length": {"tensor": "n", "axis": 1, "align": "end"}}}}
    )
    assert start.mask("y", array, lengths).tolist() == [[True, False, False], [True, True, True]]
    assert end.mask("y", array, lengths).tolist() == [[False, False, True], [True, True, True]]
    assert start.mask("y", array, {"n": np.array([0])}).sum() == 0


def test_a_mask_with_another_number_of_rows_is_an_error():
    contract = Contract.model_validate(
        {"inputs": {"n": {}}, "outputs": {"y": {"valid_length": {"tensor": "n", "axis": 1}}}}
    )
    with pytest.raises(ValueError, match="3 lengths for 2 rows"):
        contract.mask("y", np.zeros((2, 3)), {"n": np.array([1, 2, 3])})


def test_a_state_is_padded_or_cut_on_the_side_that_the_contract_names():
    state = np.array([[1.0, 2.0]])
    assert fit(state, (1, 4), Padding(axis=1, side="right")).tolist() == [[1, 2, 0, 0]]
    assert fit(state, (1, 4), Padding(axis=1, side="left", fill=9)).tolist() == [[9, 9, 1, 2]]
    assert fit(state, (1, 1), Padding(axis=1, side="right")).tolist() == [[1]]
    assert fit(state, (1, 1), Padding(axis=1, side="left")).tolist() == [[2]]
    assert fit(state, (1, 2), None) is state


def test_a_state_of_another_size_without_a_rule_says_what_is_missing():
    with pytest.raises(ValueError, match="pad"):
        fit(np.zeros((1, 2)), (1, 3), None)
    with pytest.raises(ValueError, match="after padding"):
        fit(np.zeros((2, 2)), (1, 3), Padding(axis=1))


def test_a_step_is_held_against_dtypes_shapes_symbols_and_its_profile():
    contract = parse_contract(streaming_encoder.contract("tiny"))
    inputs = next(streaming_encoder.features(0, 1))
    inputs |= contract.initial_states(inputs)
    outputs = {
        "encoder_output": np.zeros((1, 32, 4), np.float32),
        "encoded_lengths": np.array([4]),
        "cache_last_channel_out": np.zeros((2, 1, 16, 32), np.float32),
        "cache_last_time_out": np.zeros((2, 1, 32, 4), np.float32),
        "cache_last_channel_len_out": np.array([4]),
    }
    assert contract.violations(0, inputs, outputs) == []
    assert contract.violations(1, inputs, outputs) == ["T is 41, profile 'steady' allows (48, 48, 48)"]
    narrow = {**outputs, "encoder_output": np.zeros((1, 32, 4), np.float16)}
    assert "float16" in contract.violations(0, inputs, narrow)[0]
    two_rows = {**outputs, "encoded_lengths": np.array([4, 4])}
    assert "B is 1" in contract.violations(0, inputs, two_rows)[0]
    del outputs["encoder_output"]
    assert contract.violations(0, inputs, outputs)[0] == "'encoder_output' is missing"


def test_initial_states_have_the_contracts_shape_and_value():
    contract = parse_contract(decoder.contract())
    assert contract.initial_states(next(decoder.tokens(0, 1)))["past"].shape == (2, 2, 1, 4, 0, 16)
    with pytest.raises(UsageError, match="how large"):
        parse_contract({**decoder.contract(), "symbols": {"B": 1}}).initial_states(next(decoder.tokens(0, 1)))


def test_the_shipped_contracts_parse_and_the_toml_is_plain_toml():
    assert tomllib.loads(to_toml(parse_contract(streaming_encoder.contract("full"))))["inputs"]["cache_last_channel"][
        "shape"
    ] == [24, "B", 256, 1024]
