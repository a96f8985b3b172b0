"""The streaming models, their front end, what an ONNX file says of itself, and streams on each backend."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from assay.runner.backends import load_backend
from assay.runner.errors import EnvironmentMissing, UsageError
from assay.runner.graphs.audit import audit
from assay.runner.models import decoder, faults, nemo_encoder, silero_vad, streaming_encoder
from assay.runner.parity.steps import reference_steps
from assay.runner.rules.contract import parse_contract
from assay.runner.session import HostStream, Source
from assay.runner.workloads import speech

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("size", "channel", "time"),
    [("tiny", (2, 1, 16, 32), (2, 1, 32, 4)), ("full", (24, 1, 256, 1024), (24, 1, 1024, 4))],
)
def test_the_caches_have_the_sizes_of_the_contract(size: str, channel: tuple[int, ...], time: tuple[int, ...]):
    contract = parse_contract(streaming_encoder.contract(size))
    states = contract.initial_states({})
    assert (states["cache_last_channel"].shape, states["cache_last_time"].shape) == (channel, time)


def run_encoder(chunks: list[Any], **options: Any) -> list[Any]:
    folder = Path()
    source = Source(
        "factory", "assay.runner.models.streaming_encoder:module", folder, options, streaming_encoder.OUTPUTS
    )
    contract = parse_contract(streaming_encoder.contract("tiny", options.get("isolated", False)))
    with load_backend("pytorch").open_session(source, {}) as session:
        return [outputs for _, outputs in reference_steps(session, chunks, contract)]


def test_a_stateful_encoder_remembers_and_an_isolated_one_does_not():
    chunks = list(streaming_encoder.features(0, 6))
    other = [*streaming_encoder.features(1, 5), chunks[5]]
    assert np.abs(run_encoder(chunks)[5]["encoder_output"] - run_encoder(other)[5]["encoder_output"]).max() > 0.1
    isolated = [run_encoder(steps, isolated=True)[5]["encoder_output"] for steps in (chunks, other)]
    assert isolated[0].tobytes() == isolated[1].tobytes()


def test_the_cache_length_grows_to_its_size_and_stays_zero_when_isolated():
    chunks = list(streaming_encoder.features(0, 6))
    assert [int(o["cache_last_channel_len_out"][0]) for o in run_encoder(chunks)] == [4, 8, 12, 16, 16, 16]
    assert {int(o["cache_last_channel_len_out"][0]) for o in run_encoder(chunks, isolated=True)} == {0}


@pytest.mark.parametrize(("size", "fault"), [("huge", ""), ("tiny", "gremlin")])
def test_an_unknown_size_or_fault_lists_what_there_is(size: str, fault: str):
    with pytest.raises(ValueError, match="there are"):
        streaming_encoder.module(size, fault=fault)


def test_a_decoder_fed_token_by_token_says_what_the_whole_sequence_says():
    module = decoder.module().eval()
    tokens = torch.tensor([[t["token"][0, 0] for t in decoder.tokens(0, 7)]])
    past = torch.zeros(decoder.LAYERS, 2, 1, decoder.HEADS, 0, decoder.HEAD_WIDTH)
    with torch.inference_mode():
        for position in range(7):
            logits, past = module(tokens[:, position : position + 1], past)
    assert past.shape[4] == 7
    assert torch.isfinite(logits).all()


def test_log_mel_features_are_normalised_and_a_tone_is_in_its_band():
    """1 kHz lies at 999.99 mel; of 80 bands up to 8 kHz (2840 mel), that is the 28th."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    tone[:8000] = 0
    mel = speech.log_mel(tone, 80)
    assert mel.shape == (80, 101)
    assert np.abs(mel.mean(axis=1)).max() < 1e-3
    filters = speech._mel_filters(80, 512)
    assert int(filters[:, round(1000 * 512 / 16000)].argmax()) in (27, 28)
    assert filters.max() <= 1


def test_real_speech_is_read_and_is_long_enough():
    signal = speech.read_speech()
    assert signal.size >= 20 * speech.SAMPLE_RATE
    assert 0.01 < float(signal.std()) < 0.5


def test_without_speech_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(speech, "_PLACES", ())
    monkeypatch.setenv("ASSAY_SPEECH", str(tmp_path))
    with pytest.raises(EnvironmentMissing, match="make speech"):
        speech.recordings()


def test_a_nemo_checkpoint_without_nemo_says_what_to_install():
    with pytest.raises(EnvironmentMissing, match="nemo_toolkit"):
        nemo_encoder.load("model.nemo")


def test_an_onnx_file_says_which_inputs_it_ignores_and_that_it_trains(tmp_path: Path):
    onnx.save(faults.recurrent(), tmp_path / "merged.onnx")
    kinds = {(f["kind"], f["subject"]) for f in audit(tmp_path / "merged.onnx").findings}
    assert kinds == {("unused_input", "h")}
    onnx.save(faults.dropout(), tmp_path / "dropout.onnx")
    found = audit(tmp_path / "dropout.onnx")
    assert [f["kind"] for f in found.findings] == ["training_mode"]
    assert found.dynamic_axes == {"x": {0: "B"}}


@pytest.fixture(scope="module")
def encoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    onnx.save(faults.streaming_encoder(fault=""), path)
    return path


STATES = {
    "cache_last_channel": "cache_last_channel_out",
    "cache_last_time": "cache_last_time_out",
    "cache_last_channel_len": "cache_last_channel_len_out",
}


@pytest.mark.parametrize("kind", ["pytorch", "onnxruntime"])
def test_states_fed_back_on_the_device_are_those_fed_back_through_the_host(kind: str, encoder_file: Path):
    location = "assay.runner.models.streaming_encoder:module" if kind == "pytorch" else str(encoder_file)
    source = Source("factory" if kind == "pytorch" else "onnx", location, Path(), {}, streaming_encoder.OUTPUTS)
    chunks = list(streaming_encoder.features(0, 5))
    initial = parse_contract(streaming_encoder.contract()).initial_states(chunks[0])
    with load_backend(kind).open_session(source, {"threads": 1}) as session:
        device, host = session.open_stream(STATES), HostStream(session, STATES)
        for number, chunk in enumerate(chunks):
            feed = {**chunk, **initial} if number == 0 else chunk
            assert device.step(feed) > 0
            host.step(feed)
            ours, theirs = device.outputs(), host.outputs()
            assert {name: array.tobytes() for name, array in ours.items()} == {
                name: array.tobytes() for name, array in theirs.items()
            }


@pytest.mark.gpu
def test_a_stream_on_cuda_agrees_with_the_cpu_over_fifty_steps():
    chunks = list(streaming_encoder.features(0, 50))
    source = Source("factory", "assay.runner.models.streaming_encoder:module", Path(), {}, streaming_encoder.OUTPUTS)
    initial = parse_contract(streaming_encoder.contract()).initial_states(chunks[0])
    made = []
    for device in ("cpu", "cuda"):
        with load_backend("pytorch").open_session(source, {"device": device}) as session:
            stream = session.open_stream(STATES)
            for number, chunk in enumerate(chunks):
                stream.step({**chunk, **initial} if number == 0 else chunk)
            made.append(stream.outputs()["encoder_output"])
    assert np.abs(made[0] - made[1]).max() < 1e-4


def test_a_first_step_without_its_states_is_refused_in_words(encoder_file: Path):
    source = Source("onnx", str(encoder_file), Path())
    with (
        load_backend("onnxruntime").open_session(source, {}) as session,
        pytest.raises(ValueError, match="cache_last_channel"),
    ):
        session.open_stream(STATES).step(next(streaming_encoder.features(0, 1)))


def test_rounding_products_moves_the_output_by_what_tf32_would():
    chunk = next(streaming_encoder.features(0, 1))
    inputs = {**chunk, **parse_contract(streaming_encoder.contract()).initial_states(chunk)}
    source = Source("factory", "assay.runner.models.streaming_encoder:module", Path(), {}, streaming_encoder.OUTPUTS)
    with load_backend("pytorch").open_session(source, {}) as session:
        right: Any = session
        exact, rounded, coarse = (
            right.infer_as(inputs, how)["encoder_output"].astype(float) for how in ("float64", "tf32", "bfloat16")
        )
    scale = np.linalg.norm(exact)
    assert 1e-5 < np.linalg.norm(rounded - exact) / scale < 2e-3
    assert 4 < np.linalg.norm(coarse - exact) / np.linalg.norm(rounded - exact) < 16
    with pytest.raises(UsageError, match="tf32"), load_backend("pytorch").open_session(source, {"rounding": "tf31"}):
        pass


def test_the_contract_of_the_voice_network_fits_its_file():
    from assay.runner.graphs.audit import ports

    found = ports(silero_vad.onnx_file())
    contract = parse_contract(silero_vad.contract())
    assert set(found["inputs"]) == set(contract.inputs)
    assert set(found["outputs"]) == set(contract.outputs)


class Dropping(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5)

    def forward(self, x: Any) -> Any:
        return self.drop(self.norm(x))


@pytest.mark.parametrize("trains", [True, False])
@pytest.mark.parametrize("kind", ["torchscript", "exported-program"])
def test_a_file_that_was_traced_in_training_mode_says_so_whatever_eval_does(
    kind: str, trains: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ASSAY_ALLOW_CODE", str(tmp_path))
    module, example = Dropping().train(trains), torch.randn(3, 4)
    path = tmp_path / ("m.pt" if kind == "torchscript" else "m.pt2")
    if kind == "torchscript":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer warns of every Python condition
            torch.jit.save(torch.jit.trace(module, example, check_trace=False), path)
    else:
        torch.export.save(torch.export.export(module, (example,)), path)
    with load_backend("pytorch").open_session(Source(kind, str(path), tmp_path), {}) as opened:
        session: Any = opened
        assert bool(session.in_training()) is trains
