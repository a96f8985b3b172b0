"""What is in force in a process is read from the process: threads, CPUs, clocks, quotas, variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.runner.worker import in_force
from tests.places import SOURCES


@pytest.mark.parametrize(
    ("cpus", "written"), [([], ""), ([3], "3"), ([0, 1], "0-1"), ([0, 1, 2, 8], "0-2,8"), ([9, 1, 3], "1,3,9")]
)
def test_cpus_are_written_as_taskset_takes_them(cpus: list[int], written: str):
    assert in_force.ranges(cpus) == written


def test_variables_that_change_speed_or_numbers_are_kept_and_folders_are_not():
    environment = {
        "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "KMP_BLOCKTIME": "0", "NVIDIA_TF32_OVERRIDE": "0", "MALLOC_ARENA_MAX": "1",
        "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "default", "TORCH_HOME": "/models", "TORCH_LOGS": "+dynamo", "CUDA_HOME": "/cuda",
        "HOME": "/root", "PATH": "/bin", "LD_PRELOAD": "/usr/lib/libjemalloc.so.2:/opt/libtcmalloc.so",
    }  # fmt: skip
    kept = in_force.variables(environment)
    assert list(kept) == [
        "ATEN_CPU_CAPABILITY", "KMP_BLOCKTIME", "LD_PRELOAD", "MALLOC_ARENA_MAX", "MKL_NUM_THREADS", "NVIDIA_TF32_OVERRIDE",
        "OMP_NUM_THREADS", "ONEDNN_MAX_CPU_ISA",
    ]  # fmt: skip
    assert kept["LD_PRELOAD"] == "libjemalloc.so.2 libtcmalloc.so"


def test_governors_of_the_cpus_that_may_be_used_are_named_and_no_others(tmp_path: Path):
    for cpu, word in enumerate(("powersave", "performance", "performance")):
        (tmp_path / f"cpu{cpu}" / "cpufreq").mkdir(parents=True)
        (tmp_path / f"cpu{cpu}" / "cpufreq" / "scaling_governor").write_text(f"{word}\n")
    assert in_force.governor([1, 2], tmp_path) == "performance"
    assert in_force.governor([0, 1], tmp_path) == "performance+powersave"
    assert in_force.governor([7], tmp_path) is None


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("intel_pstate/no_turbo", "1", "off"),
        ("intel_pstate/no_turbo", "0", "on"),
        ("cpufreq/boost", "0", "off"),
        ("cpufreq/boost", "1", "on"),
        ("other", "1", None),
    ],
)
def test_whether_clocks_may_rise_is_read_where_the_kernel_says_it(tmp_path: Path, file: str, text: str, says: str):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    assert in_force.boost(tmp_path) == says


@pytest.mark.parametrize(
    ("own", "files", "cpus"),
    [
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "150000 100000"}, 0.5),
        ("0::/a", {"a/cpu.max": "max 100000"}, None),
        ("0::/a", {}, None),
        (
            "5:cpu,cpuacct:/x\n0::/",
            {"cpu,cpuacct/x/cpu.cfs_quota_us": "200000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
            2.0,
        ),
        ("1:cpu:/x", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, None),
    ],
)
def test_a_quota_is_the_least_of_all_control_groups_above(
    tmp_path: Path, own: str, files: dict[str, str], cpus: float | None
):
    told = tmp_path / "cgroup"
    told.write_text(own)
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert in_force.cpu_quota(tmp_path / "fs", told) == cpus


def test_an_allocator_beside_the_c_librarys_is_named(tmp_path: Path):
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 0 00:00 1 /usr/lib/x86_64-linux-gnu/libjemalloc.so.2\n")
    assert in_force.allocator(maps) == "jemalloc"
    maps.write_text("7f00-7f01 r-xp 0 00:00 1 /usr/lib/libc.so.6\n")
    assert in_force.allocator(maps) == "libc"


def read_in_a_process(lines: str = "", **environment: str) -> Any:
    """What a process of its own reads, after these lines."""
    code = f"import json\n{lines}\nfrom assay.runner.worker.in_force import in_force\nprint(json.dumps(in_force(None)))"
    env = {**os.environ, "PYTHONPATH": SOURCES, **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    return json.loads(done.stdout)


def test_a_process_says_what_it_began_with_and_not_what_libraries_have_set_since():
    told = read_in_a_process("import os; os.environ['OMP_DYNAMIC'] = 'true'", OMP_NUM_THREADS="3")
    assert told["variables"]["OMP_NUM_THREADS"] == "3"
    assert "OMP_DYNAMIC" not in told["variables"]


def test_niceness_and_the_cpus_that_are_left_are_those_of_the_process():
    first = min(os.sched_getaffinity(0))
    told = read_in_a_process(f"import os; os.nice(3); os.sched_setaffinity(0, [{first}])")
    assert (told["nice"], told["affinity"]) == (os.getpriority(os.PRIO_PROCESS, 0) + 3, str(first))
