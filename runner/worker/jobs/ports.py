"""Read the ports of an ONNX file, in a process that may load onnx."""

from __future__ import annotations

from pathlib import Path

from assay.runner.errors import UsageError
from assay.runner.worker.events.event import Events
from assay.runner.worker.events.facts import PortsRead
from assay.runner.worker.job import PortsJob


def run(job: PortsJob, events: Events) -> None:
    """One event, `ports`.

    Raises:
        UsageError: it is not an ONNX file.
    """
    events.emit(ports_of(Path(job.onnx)))


def ports_of(path: Path) -> PortsRead:
    """The inputs and outputs of an ONNX file: dtype (or type, of what is no tensor) and shape.

    Raises:
        UsageError: it is not an ONNX file.
    """
    from assay.runner.graphs.audit import ports

    try:
        found = ports(path)
    except Exception as error:
        raise UsageError(f"{path.name} is not an ONNX file that can be read: {str(error).strip()[:300]}") from error
    if not found["inputs"] and not found["outputs"]:
        raise UsageError(f"{path.name} holds no graph: it is empty, cut short, or not an ONNX file.")
    return PortsRead(**found)
