"""TensorRT's backend against both versions of the real bindings: by a double that has what they have, and no more."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper as oh
import pytest

from assay.runner.errors import UsageError
from assay.runner.recipes.build import Built, Ingredients, build
from assay.runner.session import Source
from assay.runner.timing.device import event_block, parse_mode, phases_of
from tests.tensorrt_double import double, install
from tests.tensorrt_double.host_device import TRACE

RNG = np.random.default_rng(0)


@pytest.fixture(params=double.VERSIONS)
def trt(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The backend's module on one version of TensorRT."""
    install(monkeypatch, request.param)
    return importlib.import_module("assay.runner.backends.tensorrt_engine")


def network(path: Path, *, batch: str | int = "B", dtype: int = onnx.TensorProto.FLOAT) -> Path:
    """y = relu(x W1) W2, x [B, 4]."""
    kind = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    weights = [onnx.numpy_helper.from_array(RNG.normal(size=(4, 4)).astype(kind), f"w{i}") for i in (1, 2)]
    nodes = [
        oh.make_node("MatMul", ["x", "w1"], ["h"], "/first/MatMul"),
        oh.make_node("Relu", ["h"], ["r"], "/relu/Relu"),
        oh.make_node("MatMul", ["r", "w2"], ["y"], "/second/MatMul"),
    ]
    return _save(path, nodes, [("x", dtype, [batch, 4])], [("y", dtype, [batch, 4])], weights)


def _save(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: Any = (), **metadata: str
) -> Path:
    ports = [[oh.make_tensor_value_info(*port) for port in side] for side in (inputs, outputs)]
    model = oh.make_model(
        oh.make_graph(nodes, "g", *ports, initializer=list(weights)),
        opset_imports=[oh.make_opsetid("", 18)],
        ir_version=10,
    )
    for key, value in metadata.items():
        model.metadata_props.add(key=key.replace("__", ":"), value=value)
    onnx.save(model, path)
    return path


def engine(tmp_path: Path, file: Path, **options: Any) -> Built:
    """The file's engine in a cache."""
    options.setdefault("sizes", {"seen": {"x": [[1, 4], [8, 4]]}})
    ingredients = Ingredients(
        target=Path(),
        options=options,
        example={},
        module=None,
        base=file,
        onnx=None,
        onnx_options={},
        folder=tmp_path,
        output_names=(),
    )
    return build("tensorrt", ingredients, "origin", tmp_path / "artifacts")


def opened(trt: Any, built: Built, **options: Any) -> Any:
    return trt.open_session(Source("engine", str(built.path), built.path.parent, sha256=built.file_sha256), options)


def x(batch: int, dtype: Any = np.float32) -> dict[str, Any]:
    return {"x": RNG.normal(size=(batch, 4)).astype(dtype)}


def expected(file: Path, inputs: dict[str, Any]) -> Any:
    w1, w2 = (onnx.numpy_helper.to_array(t) for t in onnx.load(file).graph.initializer)
    return np.maximum(inputs["x"] @ w1, 0) @ w2


def test_an_engine_computes_what_its_graph_says_at_every_size_of_its_profile(trt: Any, tmp_path: Path):
    file = network(tmp_path / "n.onnx")
    with opened(trt, engine(tmp_path, file)) as session:
        for batch in (1, 3, 8):
            inputs = x(batch)
            np.testing.assert_allclose(session.infer(inputs)["y"], expected(file, inputs), rtol=1e-5, atol=1e-6)
        with pytest.raises(ValueError, match=r"was built for x \[1, 4\] to \[8, 4\]"):
            session.infer(x(9))
        with pytest.raises(ValueError, match="'x' of model.engine is float32, the workload has float64"):
            session.infer(x(2, np.float64))
        with pytest.raises(ValueError, match="the workload has no x"):
            session.infer({"z": np.zeros(1)})


def test_networks_are_strongly_typed_tf32_is_off_and_layers_tell_their_precision(trt: Any, tmp_path: Path):
    engine(
        tmp_path,
        network(tmp_path / "n.onnx"),
        workspace_mib=64,
        optimization_level=5,
        hardware="ampere_plus",
        strict_nans=True,
    )
    (settings,) = double.BUILDS
    assert settings["strongly_typed"]
    assert settings["flags"] == ["EDITABLE_TIMING_CACHE", "STRICT_NANS"]
    assert settings["pools"] == {"WORKSPACE": 64 << 20}
    assert (settings["level"], settings["verbosity"], settings["hardware"]) == (5, "DETAILED", "AMPERE_PLUS")


def test_a_contracts_three_profiles_become_the_engines(trt: Any, tmp_path: Path):
    sizes = {
        "shapes": {"x": ["B", 4]},
        "profiles": {"first": {"B": 1}, "steady": {"B": [2, 4, 6]}, "batch": {"B": [16, 16, 32]}},
    }
    file = network(tmp_path / "n.onnx")
    built = engine(tmp_path, file, sizes=sizes)
    assert built.settings is not None
    assert [list(p["x"][1]) for p in built.settings["profiles"]] == [[1, 4], [4, 4], [16, 4]]
    with opened(trt, built) as session:
        for batch in (1, 5, 32):
            inputs = x(batch)
            np.testing.assert_allclose(session.infer(inputs)["y"], expected(file, inputs), rtol=1e-5, atol=1e-6)
        with pytest.raises(ValueError, match="was built for"):
            session.infer(x(10))


def test_a_second_build_comes_from_the_cache_and_another_setting_is_another_engine(trt: Any, tmp_path: Path):
    file = network(tmp_path / "n.onnx")
    first, again, other = engine(tmp_path, file), engine(tmp_path, file), engine(tmp_path, file, tf32=True)
    assert first.build_s is not None
    assert again.build_s is None
    assert again.file_sha256 == first.file_sha256
    assert other.file_sha256 != first.file_sha256
    assert len(double.BUILDS) == 2


def test_an_engine_is_loaded_only_if_it_is_the_recorded_one(trt: Any, tmp_path: Path):
    built = engine(tmp_path, network(tmp_path / "n.onnx"))
    built.path.write_bytes(built.path.read_bytes() + b" ")
    with pytest.raises(UsageError, match="An engine is executable code"), opened(trt, built):
        pass
    with pytest.raises(UsageError, match="An engine is executable code"), opened(trt, replace(built, file_sha256=None)):
        pass


def test_what_tensorrt_says_is_in_the_error(trt: Any, tmp_path: Path):
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x07nonsense")
    with pytest.raises(UsageError, match=r"TensorRT .* cannot read the graph: the file"):
        engine(tmp_path, tmp_path / "bad.onnx")
    garbage = engine(tmp_path, network(tmp_path / "n.onnx"))
    garbage.path.write_bytes(b"no engine")
    import hashlib

    with (
        pytest.raises(UsageError, match=r"cannot load model.engine: .*magicTag"),
        opened(trt, replace(garbage, file_sha256=hashlib.sha256(b"no engine").hexdigest())),
    ):
        pass
    with pytest.raises(UsageError, match=r"no option 'workspace'. Did you mean 'workspace_mib'"):
        engine(tmp_path, network(tmp_path / "n.onnx"), workspace=3)
    with pytest.raises(UsageError, match="nothing says how large axis 0 of input 'x' is"):
        engine(tmp_path, network(tmp_path / "n.onnx"), sizes={})


def test_the_timing_cache_grows_is_hashed_and_a_pinned_one_is_neither_changed_nor_missed(trt: Any, tmp_path: Path):
    file = network(tmp_path / "n.onnx")
    built = engine(tmp_path, file)
    assert built.settings is not None
    (cache,) = (tmp_path / "artifacts" / "timing").iterdir()
    assert built.settings["timing_cache_sha256"] is None
    assert built.settings["timing_cache_after_sha256"]
    pinned = tmp_path / "pinned.cache"
    pinned.write_bytes(cache.read_bytes())
    options = {"timing_cache": "pinned.cache", "pin_timing_cache": True}
    again = engine(tmp_path, file, **options)
    assert again.settings is not None
    assert again.settings["timing_cache_after_sha256"] == again.settings["timing_cache_sha256"]
    assert "ERROR_ON_TIMING_CACHE_MISS" in double.BUILDS[-1]["flags"]
    with pytest.raises(UsageError, match="built no engine: Timing cache miss"):
        engine(tmp_path, network(tmp_path / "other.onnx", batch=2), **options)
    pinned.write_text('{"device": "another GPU", "known": []}')
    with pytest.raises(UsageError, match="of another TensorRT, GPU or driver"):
        engine(tmp_path, file, **options)
    pinned.write_bytes(b"cut sh")
    with pytest.raises(UsageError, match="is damaged"):
        engine(tmp_path, file, **options)
    cache.write_bytes(b"cut sh")
    assert engine(tmp_path, file, strict_nans=True).settings is not None, "one that nobody pinned is started anew"


def test_an_fp32_engine_that_was_asked_for_fp16_is_a_fallback(trt: Any, tmp_path: Path):
    with opened(trt, engine(tmp_path, network(tmp_path / "n.onnx")), asked="float16") as session:
        told = session.placement()
        assert told.fell_back == "float16 was asked for; products are in float32 100%"
        assert told.precision == "products float32 100%"
    half = network(tmp_path / "h.onnx", dtype=onnx.TensorProto.FLOAT16)
    with opened(trt, engine(tmp_path, half), asked="float16") as session:
        assert session.placement().fell_back is None
        assert session.placement().placement == f"TensorRT {sys.modules['tensorrt'].__version__}: 2 layers, 0 reformats"
        inputs = x(2, np.float16)
        np.testing.assert_allclose(session.infer(inputs)["y"], expected(half, inputs), rtol=1e-2, atol=1e-2)


def test_a_graph_without_products_has_no_precision_to_be_held_to(trt: Any, tmp_path: Path):
    built = engine(tmp_path, adder(tmp_path / "a.onnx"))
    with opened(trt, built, asked="float32") as session:
        assert session.placement().fell_back is None
    with opened(trt, built, asked="float16") as session:
        assert "says no precision of any product" in str(session.placement().fell_back)


def adder(path: Path, **metadata: str) -> Path:
    """y = x + s; s_out = s + 1: a state that counts."""
    one = onnx.numpy_helper.from_array(np.ones(1, np.float32), "one")
    nodes = [oh.make_node("Add", ["x", "s"], ["y"], "add"), oh.make_node("Add", ["s", "one"], ["s_out"], "count")]
    kind = onnx.TensorProto.FLOAT
    return _save(
        path, nodes, [("x", kind, [2]), ("s", kind, [2])], [("y", kind, [2]), ("s_out", kind, [2])], [one], **metadata
    )


@pytest.mark.parametrize("metadata", [{}, {"alias__s_out": "s"}], ids=["copied", "aliased"])
def test_a_streams_states_stay_on_the_device(trt: Any, tmp_path: Path, metadata: dict[str, str]):
    with opened(trt, engine(tmp_path, adder(tmp_path / "a.onnx", **metadata))) as session:
        stream = session.open_stream({"s": "s_out"})
        value = np.array([10.0, 20.0], np.float32)
        stream.step({"x": value, "s": np.zeros(2, np.float32)})
        for step in range(1, 4):
            state = stream._last["s_out"].data_ptr()
            stream.step({"x": value})
            np.testing.assert_array_equal(stream.outputs()["y"], value + step)
            if metadata:
                assert stream._last["s_out"].data_ptr() == state
        with pytest.raises(ValueError, match="has no x"):
            stream.step({})


def test_an_output_whose_size_depends_on_the_data_is_allocated_when_it_is_known(trt: Any, tmp_path: Path):
    nodes = [oh.make_node("NonZero", ["x"], ["y"], "where")]
    file = _save(
        tmp_path / "z.onnx", nodes, [("x", onnx.TensorProto.FLOAT, [5])], [("y", onnx.TensorProto.INT64, [1, "n"])]
    )
    with opened(trt, engine(tmp_path, file)) as session:
        for values in ([0, 1, 0, 2, 3], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]):
            made = session.infer({"x": np.array(values, np.float32)})["y"]
            np.testing.assert_array_equal(made, np.nonzero(np.array(values))[0][None])


def test_several_streams_run_the_batch_at_the_same_time(trt: Any, tmp_path: Path):
    file = network(tmp_path / "n.onnx")
    with opened(trt, engine(tmp_path, file), streams=3) as session:
        inputs = x(4)
        call = session.bind(inputs)
        TRACE.clear()
        call.run()
        assert [line for line in TRACE if line.startswith("execute")] == [
            "execute on 1",
            "execute on 2",
            "execute on 3",
        ]
        assert [line for line in TRACE if line.endswith("waits")] == [
            "stream 2 waits",
            "stream 1 waits",
            "stream 3 waits",
            "stream 1 waits",
        ]
        np.testing.assert_allclose(call.outputs()["y"].numpy(), expected(file, inputs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["events", "events+graph", "events+transfers", "events+graph+transfers+spin"])
def test_nothing_is_waited_for_inside_a_timed_block(trt: Any, tmp_path: Path, mode: str):
    with opened(trt, engine(tmp_path, network(tmp_path / "n.onnx"))) as session:
        how = parse_mode(mode)
        call = session.bind(x(4), cuda_graph=how.graph)
        TRACE.clear()
        block = event_block(call.device, phases_of(call, how), 5, spin=how.spin)
        queued = TRACE[: TRACE.index("wait") if "wait" in TRACE else TRACE.index("query")]
        assert set(queued) == {"record", "execute on 1"}
        assert queued.count("execute on 1") == 5
        assert len(block.ms) == 5
        assert set(block.phases) == {"enqueue", "compute", *(("h2d", "d2h") if how.transfers else ())}
        parts = [block.phases[name] for name in ("h2d", "compute", "d2h") if name in block.phases]
        np.testing.assert_allclose(np.sum(parts, axis=0), block.ms, rtol=1e-6)


def test_layer_times_are_taken_by_a_profiler_that_no_benchmark_has(trt: Any, tmp_path: Path):
    with opened(trt, engine(tmp_path, network(tmp_path / "n.onnx"))) as session:
        layers, memory = session.profile(x(4), calls=3, warm_up=2)
        assert [(layer["name"], layer["calls"], layer["total_ms"]) for layer in layers] == [
            ("/first/MatMul + /relu/Relu", 3, 0.75),
            ("/second/MatMul", 3, 0.75),
        ]
        assert layers[0]["precision"] == "float32"
        assert memory["engine_scratch_bytes"] == 4096


def test_weights_are_replaced_only_where_the_engine_was_built_for_it(trt: Any, tmp_path: Path):
    file, newer = network(tmp_path / "n.onnx"), network(tmp_path / "newer.onnx")
    inputs = x(2)
    with opened(trt, engine(tmp_path, file)) as session, pytest.raises(UsageError, match="was built without `refit`"):
        session.refit(newer)
    with opened(trt, engine(tmp_path, file, refit=True)) as session:
        session.refit(newer)
        np.testing.assert_allclose(session.infer(inputs)["y"], expected(newer, inputs), rtol=1e-5, atol=1e-6)
        with pytest.raises(UsageError, match="cannot take the weights of a.onnx"):
            session.refit(adder(tmp_path / "a.onnx"))


def _walked(trt: Any, tmp_path: Path, file: Path, inputs: dict[str, Any]) -> Any:
    from assay.runner.divergence.engine_walk import explain_engine

    debug = importlib.import_module("assay.runner.backends.tensorrt_debug")
    options = {"sizes": {"seen": {"x": [[4, 4]]}}}
    return explain_engine(file, lambda marked: debug.observe(file, inputs, options, "cuda", marked), inputs)


def test_a_sound_engine_has_no_first_divergence(trt: Any, tmp_path: Path):
    found = _walked(trt, tmp_path, network(tmp_path / "n.onnx"), x(4))
    assert found.suspect is None
    assert [(e.output, e.between) for e in found.entries] == [
        ("r", ("/first/MatMul", "/relu/Relu")),
        ("y", ("/second/MatMul",)),
    ]
    assert not double.BUILDS[-1]["debug"]
    assert double.BUILDS[-1]["unfused"]


def test_a_fusion_that_is_wrong_is_found_and_told_from_a_node_that_is(
    trt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = network(tmp_path / "n.onnx")
    monkeypatch.setattr(double, "FAULTS", {"/relu/Relu": 1.5})
    found = _walked(trt, tmp_path, file, x(4))
    assert double.BUILDS[-1]["debug"] == ["h", "r"], "the suspect region alone is kept apart, in a second build"
    assert found.suspect.entry.node == "/relu/Relu"
    assert (
        found.suspect.entry.hint
        == "gone when its tensors are kept apart: it is made by fusing /first/MatMul, /relu/Relu"
    )
    assert found.suspect.entry.local_rel_l2 == pytest.approx(0.5, rel=1e-3)
    assert [e.local_rel_l2 < 1e-5 for e in found.entries] == [False, True], "what comes after is right by itself"
    assert found.entries[1].accumulated_rel_l2 == pytest.approx(0.5, rel=1e-3)


def test_a_node_that_is_wrong_by_itself_is_found_inside_its_layer(
    trt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(double, "ALWAYS", {"/first/MatMul": 1.25})
    found = _walked(trt, tmp_path, network(tmp_path / "n.onnx"), x(4))
    assert (found.suspect.entry.node, found.suspect.entry.output) == ("/first/MatMul", "h")
    assert found.suspect.entry.between == ("/first/MatMul",)
    assert "gone when" not in str(found.suspect.entry.hint)


def test_what_reproduces_a_wrong_engine_holds_its_value_against_onnx_runtimes(
    trt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import subprocess

    from assay.runner.divergence.repro import write_reproduction

    monkeypatch.setattr(double, "FAULTS", {"/relu/Relu": 1.5})
    found = _walked(trt, tmp_path, network(tmp_path / "n.onnx"), x(4))
    folder = write_reproduction(tmp_path / "out", found.suspect, by_candidate=True)
    done = subprocess.run([sys.executable, "reproduce.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "relative L2 0.5" in done.stdout
