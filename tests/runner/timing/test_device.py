"""Timing on a device, and watching it: modes, events, what makes a figure worth less."""

from __future__ import annotations

import ast
import time
from types import SimpleNamespace
from typing import Any

import pytest

from assay.runner.errors import UsageError
from assay.runner.timing import gpu
from assay.runner.timing.device import Mode, Phase, event_block, parse_mode, wait
from assay.runner.timing.gpu import GpuWatch, Sample, figures, problems, visible_index
from tests.places import ROOT
from tests.tensorrt_double.host_device import TRACE, HostCuda


def test_a_mode_is_the_same_in_whatever_order_it_is_written():
    assert parse_mode("spin+events+graph") == Mode(events=True, graph=True, spin=True)
    assert str(parse_mode("spin+events+graph")) == "events+graph+spin"
    assert str(parse_mode("transfers")) == "transfers"
    with pytest.raises(UsageError, match=r"no measurement mode 'event'. Did you mean 'events'"):
        parse_mode("event+graph")
    with pytest.raises(UsageError, match="says a word twice"):
        parse_mode("graph+graph")


def test_each_call_has_its_own_events_and_waiting_comes_after_the_last():
    device, order = HostCuda(), []
    TRACE.clear()
    phases = [
        Phase("h2d", lambda: order.append("h2d")),
        Phase("compute", lambda: order.append("compute")),
        Phase("d2h", lambda: order.append("d2h")),
    ]
    block = event_block(device, phases, 4, spin=False)
    assert order == ["h2d", "compute", "d2h"] * 4
    assert TRACE == ["record"] * (4 * 4) + ["record", "wait"]
    assert [len(block.phases[name]) for name in ("enqueue", "h2d", "compute", "d2h")] == [4] * 4


def test_enqueueing_is_the_hosts_time_and_compute_the_devices():
    block = event_block(HostCuda(), [Phase("compute", lambda: time.sleep(0.002))], 3, spin=True)
    assert all(1.9 < ms < 50 for ms in block.phases["enqueue"])
    assert all(a <= b for a, b in zip(block.phases["enqueue"], block.ms, strict=True))


@pytest.mark.parametrize(("spin", "how"), [(True, "query"), (False, "wait")])
def test_the_host_polls_only_where_it_is_told_to(spin: bool, how: str):
    TRACE.clear()
    wait(HostCuda(), spin=spin)
    assert ["record", how] == TRACE


def looks(**changes: Any) -> Sample:
    facts: dict[str, Any] = {
        "sm_mhz": 1980,
        "memory_mhz": 2619,
        "power_w": 400.0,
        "temperature_c": 50,
        "reasons": (),
        "processes": frozenset({7}),
    }
    return Sample(**{**facts, **changes})


def test_what_a_gpu_did_is_told_by_medians_and_the_share_of_looks_at_which_it_was_held_back():
    seen = [
        looks(),
        looks(sm_mhz=1500, reasons=("power cap",)),
        looks(sm_mhz=1400, reasons=("heat (hardware)", "power cap")),
        looks(power_w=None),
    ]
    assert figures(seen) == {
        "gpu_clock_mhz": 1740.0,
        "gpu_memory_clock_mhz": 2619.0,
        "gpu_power_w": 400.0,
        "gpu_temperature_c": 50.0,
        "gpu_throttled_share": 0.5,
    }
    assert figures([]) == {}
    assert problems(seen, {7}) == [
        ("gpu_throttled", "clocks", "the GPU was held back in 2 of 4 looks: heat (hardware), power cap")
    ]


@pytest.mark.parametrize(
    ("processes", "own", "foreign"),
    [({7}, {7}, 0), ({7, 9, 10}, {7}, 2), ({1007}, {7}, 0), ({1007, 1008}, {7}, 1), (set(), {7}, 0)],
    ids=["ours", "others", "a container's numbers are others", "one too many in a container", "none told"],
)
def test_other_processes_on_the_gpu_are_told(processes: set[int], own: set[int], foreign: int):
    found = problems([looks(processes=frozenset(processes))], own)
    assert [message for _, _, message in found] == (
        [f"{foreign} other processes were on the GPU at the same time"] if foreign else []
    )


def test_a_watch_looks_again_and_again_and_stops_where_there_is_nothing_to_see():
    with GpuWatch(looks, every_s=0.001) as watch:
        time.sleep(0.05)
    assert len(watch.samples) >= 5
    with GpuWatch(lambda: None) as watch:
        time.sleep(0.01)
    assert watch.samples == []


def test_the_device_that_cuda_shows_is_found_among_all(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [visible_index(name) for name in ("cpu", "cuda", "cuda:1")] == [0, 0, 1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [visible_index(name) for name in ("cuda", "cuda:1", "cuda:2")] == [3, 5, 2]


def test_a_look_reads_what_the_device_tells_and_leaves_out_what_it_does_not(monkeypatch: pytest.MonkeyPatch):
    import pynvml

    answers: dict[str, Any] = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetCurrentClocksEventReasons": lambda _: (
            pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonGpuIdle
        ),
        "nvmlDeviceGetPowerUsage": lambda _: 412_500,
        "nvmlDeviceGetComputeRunningProcesses": lambda _: [SimpleNamespace(pid=7)],
        "nvmlDeviceGetClockInfo": lambda _, which: {pynvml.NVML_CLOCK_SM: 1980, pynvml.NVML_CLOCK_MEM: 2619}[which],
    }

    def refuses(*_: Any) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    for name, answer in {**answers, "nvmlDeviceGetTemperature": refuses}.items():
        monkeypatch.setattr(pynvml, name, answer)
    gpu.looker.cache_clear()
    seen = gpu.looker(0)()
    gpu.looker.cache_clear()
    assert seen == Sample(1980, 2619, 412.5, None, ("power cap",), frozenset({7}))


def test_without_a_driver_nothing_is_seen():
    assert gpu.looker(0)() is None or gpu.driver_version() is not None


def test_every_name_of_nvml_that_is_used_exists():
    import pynvml

    text = [(ROOT / "runner" / name).read_text() for name in ("timing/gpu.py", "timing/memory.py", "environment.py")]
    used = {
        node.attr
        for one in text
        for node in ast.walk(ast.parse(one))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("nvml", "pynvml")
    }
    assert len(used) > 10
    for name in (*used, *gpu._REASONS):
        assert hasattr(pynvml, name), name
