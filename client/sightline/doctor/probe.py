"""Gather the facts about this machine, in well under a second and without importing anything heavy."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sightline.doctor.cpu import probe_cpu, read_text
from sightline.doctor.docker import probe_docker
from sightline.doctor.facts import ARM64, LINUX, MACOS, X86_64, Machine, Space
from sightline.doctor.nvidia import has_nvidia_card, probe_driver
from sightline.doctor.packages import probe_packages
from sightline.doctor.ports import probe_ports

_ARCHITECTURES = {"amd64": X86_64, "x86_64": X86_64, "aarch64": ARM64, "arm64": ARM64}


def probe_machine(*, repository: Path, libpython: Path | None) -> Machine:
    """Facts about this machine.

    Args:
        repository: folder in which models are looked for.
        libpython: this Python's shared library, if it has one.
    """
    with ThreadPoolExecutor() as pool:  # these two may wait for somebody
        docker, ports = pool.submit(probe_docker), pool.submit(probe_ports)
        packages, extras = probe_packages()
        return Machine(
            system=platform.system(),
            system_name=_system_name(),
            architecture=normal_architecture(platform.machine()),
            python_version=sys.version_info[:3],
            python_path=Path(sys.executable),
            glibc_version=parse_glibc(*platform.libc_ver()),
            libpython=libpython,
            cpu=probe_cpu(),
            memory=_memory(),
            shared_memory=_space(Path("/dev/shm")),
            disk=_space(Path.cwd()),
            open_file_limit=_open_file_limit(),
            driver=probe_driver(),
            has_nvidia_card=has_nvidia_card(),
            docker=docker.result(),
            ports=ports.result(),
            packages=packages,
            extras=extras,
            repository=repository,
            models=_models(repository),
        )


def normal_architecture(machine: str) -> str:
    """One name for what systems call differently, such as `AMD64` and `x86_64`."""
    return _ARCHITECTURES.get(machine.lower(), machine)


def parse_glibc(library: str, version: str) -> tuple[int, int] | None:
    """(2, 36) of ("glibc", "2.36"); None for another C library, such as Alpine's musl."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return (int(numbers[1]), int(numbers[2])) if library == "glibc" and numbers else None


def parse_os_release(text: str) -> str:
    """`PRETTY_NAME` from the text of `/etc/os-release`; empty if it is not there."""
    found = re.search(r"^PRETTY_NAME=(['\"]?)(.*)\1$", text, re.M)
    return found[2] if found else ""


def parse_meminfo(text: str) -> Space | None:
    """Total and available bytes from the text of Linux's `/proc/meminfo`."""
    sizes = {name: int(kilobytes) * 1024 for name, kilobytes in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    if "MemTotal" not in sizes:
        return None
    return Space(sizes["MemTotal"], sizes.get("MemAvailable", sizes.get("MemFree", 0)))


def _system_name() -> str:
    if platform.system() == LINUX:
        return parse_os_release(read_text(Path("/etc/os-release")) or "") or f"Linux {platform.release()}"
    if platform.system() == MACOS:
        return f"macOS {platform.mac_ver()[0]}"
    return f"{platform.system()} {platform.release()}"


def _memory() -> Space | None:
    if platform.system() != LINUX:
        return None
    memory = parse_meminfo(read_text(Path("/proc/meminfo")) or "")
    limits = [read_text(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory/memory.limit_in_bytes")]
    return limited(memory, [int(limit) for limit in limits if limit is not None and limit.strip().isdecimal()])


def limited(memory: Space | None, limits: list[int]) -> Space | None:
    """The machine's memory as cgroup limits in bytes leave it to this process."""
    if memory is None:
        return None
    total = min([memory.total_bytes, *limits])
    return Space(total, min(total, memory.free_bytes))


def _space(folder: Path) -> Space | None:
    if not folder.is_dir():
        return None
    usage = shutil.disk_usage(folder)
    return Space(usage.total, usage.free)


def _open_file_limit() -> int | None:
    if os.name != "posix":
        return None
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _models(repository: Path) -> tuple[str, ...] | None:
    """Names of the folders with a configuration; None where there is no such repository."""
    if not repository.is_dir():
        return None
    return tuple(sorted(entry.parent.name for entry in repository.glob("*/config.pbtxt")))
