"""Ask Docker what it has."""

from __future__ import annotations

import json
import shutil
import subprocess

from sightline.doctor.facts import Docker

_COMMAND = ("docker", "info", "--format", "{{json .}}")
_TIMEOUT_SECONDS = 3.0


def parse_docker_info(text: str, complaint: str = "") -> Docker:
    """From what `docker info --format '{{json .}}'` printed, and its complaint on stderr if it failed."""
    try:
        info = json.loads(text)
    except ValueError:
        info = None
    if not isinstance(info, dict):
        return Docker(failure=_one_line(complaint or text) or "docker info said nothing")
    errors = info.get("ServerErrors") or ([] if info.get("ServerVersion") else [complaint or "no engine answers"])
    plugins = (info.get("ClientInfo") or {}).get("Plugins") or []
    devices = [str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or []]
    return Docker(
        engine_version=str(info.get("ServerVersion") or ""),
        compose_version=next((str(p.get("Version", "")) for p in plugins if p.get("Name") == "compose"), ""),
        has_nvidia_runtime="nvidia" in (info.get("Runtimes") or {}) or any("nvidia.com/gpu" in d for d in devices),
        failure=_one_line(" ".join(map(str, errors))),
    )


def probe_docker() -> Docker | None:
    """What the engine says; None where there is no `docker` command."""
    if shutil.which(_COMMAND[0]) is None:
        return None
    try:
        answer = subprocess.run(_COMMAND, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return Docker(failure=f"docker info gave no answer in {_TIMEOUT_SECONDS:.0f} s")
    except OSError as error:
        return Docker(failure=str(error))
    return parse_docker_info(answer.stdout, answer.stderr)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
