"""`import tensorrt` in a process that is to run on the double.

Its folder is on PYTHONPATH, its version in TENSORRT_DOUBLE.
"""

import os
import sys

from assay.runner.backends import cuda_device
from tests.tensorrt_double.double import make
from tests.tensorrt_double.host_device import HostCuda

cuda_device.open_device = HostCuda
sys.modules[__name__] = make(os.environ.get("TENSORRT_DOUBLE", "11.4.0.106"))
