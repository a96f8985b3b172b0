"""CPU time of `assay --help`, against an interpreter that does nothing, in turns."""

import json
import resource
import statistics
import subprocess
import sys


def cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


ours, bare = [], []
for _ in range(10):
    ours.append(cpu_seconds([sys.executable, "-m", "assay", "--help"]))
    bare.append(cpu_seconds([sys.executable, "-c", "pass"]))
print(
    json.dumps(
        {
            "benchmark": "start_up",
            "help_cpu_s": statistics.median(ours),
            "times_bare_interpreter": statistics.median(ours) / statistics.median(bare),
            "targets": {"help_cpu_s": 0.5},
        }
    )
)
