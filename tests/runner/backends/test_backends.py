"""One contract for every backend, then what each adds."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.runner.backends import BACKENDS, cuda_device, load_backend
from assay.runner.errors import EnvironmentMissing, UsageError
from assay.runner.recipes.build import Ingredients, build
from assay.runner.session import Source
from tests.tensorrt_double import install
from tests.tensorrt_double.host_device import TRACE, HostCuda

USER_MODULE = """
import torch
from tests.places import ROOT

class Affine(torch.nn.Module):
    def __init__(self, gain=2.0):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        with torch.no_grad():
            self.linear.weight.fill_(gain)
            self.linear.bias.fill_(1.0)

    def forward(self, x):
        return {"y": self.linear(x), "total": x.sum()}

def affine(gain=2.0):
    return Affine(gain)

def broken():
    raise RuntimeError("no weights here")

def not_a_module():
    return 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(USER_MODULE)
    return tmp_path


def onnx_affine(path: Path) -> Path:
    from onnx import TensorProto, helper, numpy_helper, save

    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        "affine",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
        [
            numpy_helper.from_array(np.full((3, 2), 2, np.float32), "w"),
            numpy_helper.from_array(np.ones(2, np.float32), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    save(model, path)
    return path


def source_for(kind: str, folder: Path) -> Source:
    if kind == "pytorch":
        return Source("factory", "mine.py:affine", folder)
    if kind == "onnxruntime":
        return Source("onnx", str(onnx_affine(folder / "affine.onnx")), folder)
    if kind == "tensorrt":
        ingredients = Ingredients(
            target=Path(),
            options={"sizes": {"seen": {"x": [[1, 3], [8, 3]]}}},
            example={},
            module=None,
            base=onnx_affine(folder / "affine.onnx"),
            onnx=None,
            onnx_options={},
            folder=folder,
            output_names=(),
        )
        made = build("tensorrt", ingredients, "origin", folder / "cache")
        return Source("engine", str(made.path), folder, sha256=made.file_sha256)
    return Source("fake", "", folder, {"gain": 2.0})


@pytest.fixture(params=[*BACKENDS])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    library = BACKENDS[request.param].library
    if library == "tensorrt":
        install(monkeypatch, "11.4.0.106")
    elif importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    return request.param


X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_outputs_are_host_arrays_that_are_the_callers_to_keep(kind: str, folder: Path):
    with load_backend(kind).open_session(source_for(kind, folder), {}) as session:
        first = session.infer({"x": X})
        kept = {name: array.copy() for name, array in first.items()}
        session.infer({"x": X + 1})
        assert all(isinstance(array, np.ndarray) for array in first.values())
        for name, array in kept.items():
            np.testing.assert_array_equal(first[name], array)


def test_the_same_input_gives_the_same_output_prepared_or_not(kind: str, folder: Path):
    with load_backend(kind).open_session(source_for(kind, folder), {}) as session:
        call = session.prepare({"x": X})
        call()
        call()
        once, twice = session.infer({"x": X}), session.infer({"x": X})
        assert all(np.array_equal(once[name], twice[name]) for name in once)


def test_a_session_says_what_really_runs(kind: str, folder: Path):
    row = BACKENDS[kind]
    options, told = ({"threads": 1}, 1) if row.threads else ({}, None)
    device = (*row.devices, "cpu")[0]
    with load_backend(kind).open_session(source_for(kind, folder), options) as session:
        placement = session.placement()
        assert (placement.device, placement.threads, placement.fell_back) == (device, told, None)
        assert placement.placement
        assert placement.precision


def test_what_is_computed_with_is_hashed(kind: str, folder: Path):
    with (
        load_backend(kind).open_session(source_for(kind, folder), {}) as a,
        load_backend(kind).open_session(source_for(kind, folder), {}) as b,
    ):
        assert a.state_hash() == b.state_hash()
        assert len(a.state_hash()) == 64


def test_a_wrong_input_name_or_an_unknown_option_is_refused_in_words(kind: str, folder: Path):
    with load_backend(kind).open_session(source_for(kind, folder), {}) as session:
        if kind != "fake":  # it takes any input
            with pytest.raises(ValueError, match="workload"):
                session.infer({"z": X})
        else:
            with pytest.raises(ValueError, match="at least one input"):
                session.infer({})
    with (
        pytest.raises(UsageError, match="no option 'thread'"),
        load_backend(kind).open_session(source_for(kind, folder), {"thread": 1}),
    ):
        pass


def test_an_unknown_backend_lists_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'onnxruntime'"):
        load_backend("onxruntime")


def test_a_backend_whose_library_is_missing_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    missing = replace(BACKENDS["tensorrt"], module="assay.runner.backends.missing_on_purpose")
    monkeypatch.setitem(BACKENDS, "tensorrt", missing)
    with pytest.raises(EnvironmentMissing, match=r"pip install 'assay\[tensorrt\]'"):
        load_backend("tensorrt")


def test_pytorch_changes_its_hash_with_weights_and_code(folder: Path):
    def state(**options: Any) -> str:
        with load_backend("pytorch").open_session(Source("factory", "mine.py:affine", folder, options), {}) as session:
            return session.state_hash()

    assert state() != state(gain=3.0)
    before = state()
    (folder / "mine.py").write_text(USER_MODULE.replace("x.sum()", "x.sum() + 0"))
    import linecache

    linecache.clearcache()
    assert state() != before


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("mine.py:broken", "raised RuntimeError: no weights here"),
        ("mine.py:not_a_module", "made a int, not a torch.nn.Module"),
        ("mine.py:afine", "Did you mean 'affine'"),
        ("missing.py:f", "is not there"),
        ("no.such.module:f", "importing 'no.such.module' failed"),
    ],
)
def test_a_factory_that_cannot_be_used_is_explained(folder: Path, location: str, says: str):
    with (
        pytest.raises(UsageError, match=says),
        load_backend("pytorch").open_session(Source("factory", location, folder), {}),
    ):
        pass


def test_torchscript_and_exported_programs_run_like_the_module(folder: Path, monkeypatch: pytest.MonkeyPatch):
    import torch

    monkeypatch.setenv("ASSAY_ALLOW_CODE", str(folder))

    class Half(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / 2

    torch.jit.trace(Half(), torch.from_numpy(X)).save(folder / "half.pt")
    torch.export.save(torch.export.export(Half(), (torch.from_numpy(X),)), folder / "half.pt2")
    for kind, name in (("torchscript", "half.pt"), ("exported-program", "half.pt2")):
        with load_backend("pytorch").open_session(Source(kind, str(folder / name), folder), {}) as session:
            np.testing.assert_array_equal(session.infer({"x": X})["output"], X / 2)
    (folder / "bad.pt").write_bytes(b"nonsense")
    with (
        pytest.raises(UsageError, match="PyTorch cannot load"),
        load_backend("pytorch").open_session(Source("torchscript", str(folder / "bad.pt"), folder), {}),
    ):
        pass


def test_torch_compile_computes_the_same(folder: Path):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    source = Source("factory", "mine.py:affine", folder)
    with (
        load_backend("pytorch").open_session(source, {}) as eager,
        load_backend("pytorch").open_session(source, {"compile": True}) as compiled,
    ):
        np.testing.assert_allclose(compiled.infer({"x": X})["y"], eager.infer({"x": X})["y"], rtol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"x": X.astype(np.float64)}, "is float32, the workload has float64"),
        ({"x": X.reshape(3, 2)}, r"has shape \['batch', 3\], the workload \(3, 2\)"),
        ({"y": X}, "the workload has no x"),
    ],
)
def test_onnxruntime_refuses_wrong_inputs_by_name(folder: Path, inputs: Any, says: str):
    with (
        load_backend("onnxruntime").open_session(source_for("onnxruntime", folder), {}) as session,
        pytest.raises(ValueError, match=says),
    ):
        session.infer(inputs)


def test_a_corrupt_onnx_file_and_a_missing_provider_are_told_apart(folder: Path):
    (folder / "bad.onnx").write_bytes(b"\x08\x07nonsense")
    with (
        pytest.raises(UsageError, match=r"cannot load bad\.onnx"),
        load_backend("onnxruntime").open_session(Source("onnx", str(folder / "bad.onnx"), folder), {}),
    ):
        pass
    options = {"provider": "CUDAExecutionProviderr"}
    with (
        pytest.raises(EnvironmentMissing, match="has no CUDAExecutionProviderr"),
        load_backend("onnxruntime").open_session(source_for("onnxruntime", folder), options),
    ):
        pass


@pytest.mark.parametrize("options", [{"device": "cuda"}, {"provider": "CUDAExecutionProvider", "allow_fallback": True}])
def test_onnxruntime_never_opens_on_the_cpu_where_a_device_was_asked_for(
    folder: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    """A build that lists CUDA and cannot start it: the session has the CPU alone, and nothing is raised."""
    import onnxruntime

    asked = []
    really = onnxruntime.InferenceSession

    def on_the_cpu(location: str, settings: Any, providers: list[Any]) -> Any:
        asked.extend(providers)
        return really(location, settings, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", on_the_cpu)
    with (
        pytest.raises(EnvironmentMissing, match="CUDAExecutionProvider was asked for and could not be started"),
        load_backend("onnxruntime").open_session(source_for("onnxruntime", folder), options),
    ):
        pass
    assert [name for name, _ in asked] == ["CUDAExecutionProvider"]


@pytest.mark.parametrize("provider", ["CUDAExecutionProvider", "TensorrtExecutionProvider"])
def test_the_number_of_a_device_is_the_providers_device_id(folder: Path, provider: str):
    from assay.runner.backends.onnxruntime_device import index_of, provider_options

    path = onnx_affine(folder / "affine.onnx")
    options = {"device": "cuda:1", "sizes": {"seen": {"x": [[1, 3]]}}}
    assert provider_options(provider, path, options)["device_id"] == "1"
    assert "device_id" not in provider_options(provider, path, {**options, "device": "cuda"})
    assert [index_of(how) for how in ({}, options, {"provider_options": {"device_id": "2"}})] == [0, 1, 2]


def test_pytorch_on_cuda_without_a_device_is_missing_and_not_the_cpu(folder: Path, monkeypatch: pytest.MonkeyPatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with (
        pytest.raises(EnvironmentMissing, match="device cuda is asked for; PyTorch .* sees no CUDA device"),
        load_backend("pytorch").open_session(source_for("pytorch", folder), {"device": "cuda"}),
    ):
        pass
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(EnvironmentMissing, match="device cuda:1 is asked for; there are 1 CUDA devices"),
        load_backend("pytorch").open_session(source_for("pytorch", folder), {"device": "cuda:1"}),
    ):
        pass


@pytest.mark.gpu
def test_pytorch_on_cuda_agrees_with_the_cpu(folder: Path):
    source = Source("factory", "mine.py:affine", folder)
    with (
        load_backend("pytorch").open_session(source, {"device": "cuda"}) as gpu,
        load_backend("pytorch").open_session(source, {}) as cpu,
    ):
        np.testing.assert_allclose(gpu.infer({"x": X})["y"], cpu.infer({"x": X})["y"], rtol=1e-5)
        assert gpu.placement().device == "cuda"


@pytest.mark.parametrize(
    ("in_force", "nodes", "allow", "says"),
    [
        (["CPUExecutionProvider"], {"CPUExecutionProvider": 3}, False, "the session has only CPUExecutionProvider"),
        (
            ["CUDAExecutionProvider", "CPUExecutionProvider"],
            {"CUDAExecutionProvider": 5, "CPUExecutionProvider": 2},
            False,
            "2 of 7 nodes were given to CPUExecutionProvider",
        ),
        (
            ["CUDAExecutionProvider", "CPUExecutionProvider"],
            {"CUDAExecutionProvider": 5, "CPUExecutionProvider": 2},
            True,
            None,
        ),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], {"CUDAExecutionProvider": 5}, False, None),
    ],
)
def test_a_fallback_of_the_session_or_of_single_nodes_is_noticed(
    folder: Path, in_force: list[str], nodes: dict[str, int], allow: bool, says: str | None
):
    """onnxruntime-gpu on a host without a GPU lists CUDA, runs on the CPU, and raises nothing.

    This is what it reports.
    """
    from types import SimpleNamespace

    from assay.runner.backends.onnxruntime_session import OnnxRuntimeSession

    parts = [
        SimpleNamespace(ep_name=name, get_nodes=lambda count=count: [SimpleNamespace(op_type="Gemm")] * count)
        for name, count in nodes.items()
    ]
    reported = SimpleNamespace(
        get_inputs=list,
        get_outputs=list,
        get_providers=lambda: in_force,
        get_provider_graph_assignment_info=lambda: parts,
    )
    session = OnnxRuntimeSession(
        reported, onnx_affine(folder / "a.onnx"), "CUDAExecutionProvider", {"allow_fallback": allow}
    )
    fell_back = session.placement().fell_back
    assert fell_back is None if says is None else says in fell_back


def test_pytorch_is_timed_on_a_device_with_its_input_at_one_address(folder: Path, monkeypatch: pytest.MonkeyPatch):
    from assay.runner.timing.device import event_block, parse_mode, phases_of

    monkeypatch.setattr(cuda_device, "open_device", HostCuda)
    with load_backend("pytorch").open_session(source_for("pytorch", folder), {}) as session:
        call = session.bind({"x": X}, cuda_graph=True)  # type: ignore[attr-defined]
        TRACE.clear()
        block = event_block(call.device, phases_of(call, parse_mode("events+graph+transfers")), 3, spin=False)
        assert set(TRACE[: TRACE.index("wait")]) == {"record"}
        assert (len(block.ms), set(block.phases)) == (3, {"enqueue", "h2d", "compute", "d2h"})
        np.testing.assert_array_equal(call.outputs()["y"].numpy(), session.infer({"x": X})["y"])


def test_autocast_computes_in_the_narrower_type_and_says_so(folder: Path):
    with (
        load_backend("pytorch").open_session(source_for("pytorch", folder), {"autocast": "bfloat16"}) as narrow,
        load_backend("pytorch").open_session(source_for("pytorch", folder), {}) as wide,
    ):
        assert narrow.placement().precision == "weights float32, autocast to bfloat16"
        assert narrow.infer({"x": X})["y"].dtype.name == "bfloat16"
        np.testing.assert_allclose(narrow.infer({"x": X})["y"].astype(np.float32), wide.infer({"x": X})["y"], rtol=1e-2)
    with (
        pytest.raises(UsageError, match="autocast cannot be 'int8'. There is: bfloat16, float16"),
        load_backend("pytorch").open_session(source_for("pytorch", folder), {"autocast": "int8"}),
    ):
        pass


class OnHost:
    """A session of ONNX Runtime's CPU build whose bindings take `cuda` for the host."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.waited = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def io_binding(self) -> Any:
        binding = self._session.io_binding()
        real_in, real_out = binding.bind_input, binding.bind_output
        binding.bind_input = lambda name, _, index, *rest: real_in(name, "cpu", index, *rest)
        binding.bind_output = lambda name, _, index, *rest: real_out(name, "cpu", index, *rest)
        return binding

    def run_with_iobinding(self, binding: Any, settings: Any = None) -> None:
        self.waited = (
            settings is None or settings.get_run_config_entry("disable_synchronize_execution_providers") != "1"
        )
        self._session.run_with_iobinding(binding, settings)


def test_onnx_runtime_is_timed_on_a_device_without_waiting_at_the_end_of_a_run(folder: Path):
    import onnxruntime as ort

    from assay.runner.backends import onnxruntime_device, onnxruntime_values

    real = ort.InferenceSession(str(onnx_affine(folder / "a.onnx")), providers=["CPUExecutionProvider"])
    session = OnHost(real)
    call = onnxruntime_device.bind(session, ("y",), HostCuda(), onnxruntime_values.DTYPES, {"x": X})
    assert session.waited
    address = call.inputs["x"].data_ptr()
    call.inputs["x"].copy_(call.inputs["x"] * 2)
    call.run()
    assert not session.waited
    assert call.inputs["x"].data_ptr() == address
    np.testing.assert_array_equal(call.outputs()["y"].numpy(), real.run(None, {"x": X * 2})[0])


def test_providers_are_opened_for_parity_with_their_engines_cached_and_profiles_from_the_contract(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from assay.runner.backends.onnxruntime_device import CUDA, TENSORRT, engines_in, provider_options

    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "unset")
    file = onnx_affine(folder / "a.onnx")
    assert provider_options(CUDA, file, {}) == {"use_tf32": "0", "cudnn_conv_algo_search": "DEFAULT"}
    fast = provider_options(
        CUDA, file, {"tf32": True, "cuda_graph": True, "device_stream": 4096, "provider_options": {"gpu_mem_limit": 1}}
    )
    assert fast == {
        "use_tf32": "1",
        "cudnn_conv_algo_search": "DEFAULT",
        "user_compute_stream": "4096",
        "enable_cuda_graph": "1",
        "gpu_mem_limit": "1",
    }
    sizes = {"shapes": {"x": ["B", 3]}, "profiles": {"one": {"B": 1}, "many": {"B": [2, 4, 8]}}}
    made = provider_options(TENSORRT, file, {"sizes": sizes})
    assert [made[f"trt_profile_{which}_shapes"] for which in ("min", "opt", "max")] == [
        "x:1x3,x:2x3",
        "x:1x3,x:4x3",
        "x:1x3,x:8x3",
    ]
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    assert made["trt_engine_cache_enable"] == made["trt_timing_cache_enable"] == "1"
    assert engines_in(made) == {}
    (Path(made["trt_engine_cache_path"]) / "a.engine").write_bytes(b"built")
    assert list(engines_in(made)) == ["a.engine"]
    assert (
        provider_options(TENSORRT, file, {"sizes": {**sizes, "profiles": {"one": {"B": 3}}}})["trt_engine_cache_path"]
        != made["trt_engine_cache_path"]
    )
    with pytest.raises(UsageError, match="nothing says how large axis 0"):
        provider_options(TENSORRT, file, {})
