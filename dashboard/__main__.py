"""`python -m assay.dashboard`: Streamlit on `app.py`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main() -> None:
    """Replace this process by the dashboard's server."""
    parser = argparse.ArgumentParser(
        prog="assay-dashboard", description="Start the dashboard on the published snapshots."
    )
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--address", default="127.0.0.1", help="the default is this machine only")
    arguments = parser.parse_args()
    here = Path(__file__).resolve().parent
    command = [
        sys.executable,
        "-P",
        "-m",
        "streamlit",
        "run",
        str(here / "app.py"),
        "--server.port",
        str(arguments.port),
        "--server.address",
        arguments.address,
        "--server.headless",
        "true",
        "--browser.gatherUsageStats",
        "false",
        "--server.fileWatcherType",
        "none",
    ]
    print(f"Assay's dashboard: http://{arguments.address}:{arguments.port}", flush=True)  # noqa: T201  the result
    os.execv(sys.executable, command)  # noqa: S606  no shell is involved


if __name__ == "__main__":
    main()
