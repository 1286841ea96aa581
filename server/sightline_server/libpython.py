"""Where this Python's shared library is: tritonserver's Python backend loads it."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path


def find_libpython() -> Path | None:
    """Path of `libpython3.X.so.1.0`, or None where this Python was built without one and the system has none."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    folders = [
        Path(str(sysconfig.get_config_var("LIBDIR") or "")),
        Path(sys.base_prefix) / "lib",
        Path("/usr/lib") / str(sysconfig.get_config_var("MULTIARCH") or ""),
        Path("/usr/lib64"),
        Path("/usr/local/lib"),
        # One that was brought to a machine where nothing can be installed.
        *(Path(folder) for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder),
    ]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


if __name__ == "__main__":
    sys.exit(0 if find_libpython() else 1)
