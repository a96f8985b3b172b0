"""A TensorRT for tests that need no GPU. See `double`."""

from __future__ import annotations

import sys

import pytest

OURS = (
    "assay.runner.backends.tensorrt_build",
    "assay.runner.backends.tensorrt_engine",
    "assay.runner.backends.tensorrt_debug",
    "tensorrt",
)


def install(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """From here on `import tensorrt` is the double of a version, and CUDA devices are the host's memory."""
    from assay.runner.backends import cuda_device
    from tests.tensorrt_double import double
    from tests.tensorrt_double.host_device import TRACE, HostCuda

    for name in OURS:
        monkeypatch.setitem(sys.modules, name, None)  # remembered, so that it is gone again afterwards
        del sys.modules[name]
    sys.modules["tensorrt"] = double.make(version)
    monkeypatch.setattr(cuda_device, "open_device", HostCuda)
    double.BUILDS.clear()
    TRACE.clear()
