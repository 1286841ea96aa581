"""Runs programs with the rights and folders that docker-compose.yml gives to a service."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.compose_file import CHECKOUT

SCRIPT = Path(__file__).with_suffix(".sh")


def jail(service: Mapping[str, Any], shown: Mapping[Path, str]) -> list[str]:
    """What to put before a program's name.

    Args:
        service: as in the compose file; its user, temporary folder, shared memory and read-only folders count.
        shown: further folders or files, and where they are to be seen.
    """
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("this machine lets tests make no mount namespace, which takes root")
    (mount,) = service["tmpfs"]
    binds = [volume for volume in service["volumes"] if isinstance(volume, dict)]
    folders = {CHECKOUT / volume["source"]: volume["target"] for volume in binds}
    places = [f"{source}={target}" for source, target in {**folders, **shown}.items()]
    shared_memory = str(service.get("shm_size", 64 << 20))
    return [str(SCRIPT), service["user"], mount.partition(":")[2], shared_memory, *places, "--"]
