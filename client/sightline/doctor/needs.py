"""What the parts of Sightline need, and the commands that get it."""

from __future__ import annotations

from sightline.doctor.facts import LINUX, MACOS, Machine

GLIBC = (2, 35)
"""Oldest glibc on which the embedded tritonserver runs."""
PYTHONS = ((3, 10), (3, 13))
"""Oldest and newest Python."""
CUDA = (13, 0)
"""CUDA of NVIDIA's current containers; it wants driver 580 or newer."""
CORES = 2
SERVER_EXTRA = "server"
EXPORT_EXTRA = "export"
GPU_EXTRA = "gpu"
MEMORY_BYTES = 2_000_000_000
SHARED_MEMORY_BYTES = 256_000_000
"""Python-based backends hand pictures over through /dev/shm; Docker gives containers 64 MB of it."""
DISK_BYTES = 10_000_000_000
OPEN_FILES = 1024

INSTALL_COMMAND = "make install   (in the checkout)"
GPU_INSTALL_COMMAND = "make install-gpu   (in the checkout); without it `sightline serve` computes on the CPU"
EMBEDDED_PLATFORM = "the embedded server is for Linux on x86-64; here, use the client against a server elsewhere"
NEWER_GLIBC = "Debian 12, Ubuntu 22.04, RHEL 10 or newer, or NVIDIA's container"
OTHER_PYTHON = "use Python 3.10 to 3.13: make install PYTHON=3.12   (uv brings it)"
DRIVER_COMMAND = "sudo apt install nvidia-driver-580-server   (Debian: nvidia-driver), then reboot"
NEWER_DRIVER = (
    "current containers carry CUDA 13: driver 580 or newer (data-centre GPUs also by CUDA forward compatibility)"
)
COMPOSE_COMMAND = "sudo apt install docker-compose-plugin   (Ubuntu's own packages: docker-compose-v2)"
TOOLKIT_COMMAND = (
    "sudo apt install nvidia-container-toolkit && sudo nvidia-ctk runtime configure --runtime=docker && "
    "sudo systemctl restart docker   (its package source: docs.nvidia.com, Container Toolkit, installation)"
)
GPU_ELSEWHERE = "a Linux machine with an NVIDIA GPU; from here the client reaches it: sightline detect --url HOST:8001"


def libpython_command(machine: Machine) -> str:
    """How to get the shared library of this Python."""
    version = "{}.{}".format(*machine.python_version)
    return f"sudo apt install libpython{version}; or let uv bring a Python that has one: make clean && make install"


def docker_command(machine: Machine) -> str:
    """How to get Docker."""
    if machine.system == LINUX:
        return "curl -fsSL https://get.docker.com | sudo sh"
    return "brew install --cask docker" if machine.system == MACOS else "winget install Docker.DockerDesktop"


def docker_repair(machine: Machine) -> str:
    """What to try where the `docker` command is there, but no engine can be used."""
    failure = machine.docker.failure.lower() if machine.docker else ""
    if "permission denied" in failure:
        return "sudo usermod -aG docker $USER, then log in again"
    return "sudo systemctl start docker" if machine.system == LINUX else "start Docker Desktop"
