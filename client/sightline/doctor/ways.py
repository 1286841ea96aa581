"""Which ways of using Sightline work on a machine, and what the others lack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sightline.doctor import needs
from sightline.doctor.facts import LINUX, WINDOWS, Machine
from sightline.doctor.packages import CORE


@dataclass(frozen=True)
class Lack:
    """Something that is not there, and the command or step that gets it."""

    what: str
    command: str


@dataclass(frozen=True)
class Way:
    """One way of using Sightline; it works if nothing is lacking."""

    name: str
    purpose: str
    lacks: tuple[Lack, ...]

    @property
    def works(self) -> bool:
        """Whether nothing is lacking."""
        return not self.lacks


def judge_ways(machine: Machine) -> list[Way]:
    """All ways, from the one that needs least."""
    return [
        Way("client", "sightline detect, Client: pictures to a server that runs somewhere", tuple(_client(machine))),
        Way("embedded server", "sightline serve, sightline demo: Triton without Docker", tuple(_embedded(machine))),
        Way("export", "sightline export: your checkpoint becomes a served model", tuple(_export(machine))),
        Way("Docker with GPU", "NVIDIA's container with its native backends", tuple(_docker_gpu(machine))),
    ]


def _python(machine: Machine) -> Iterator[Lack]:
    if not needs.PYTHONS[0] <= machine.python_version[:2] <= needs.PYTHONS[1]:
        yield Lack("a Python from {}.{} to {}.{}".format(*needs.PYTHONS[0], *needs.PYTHONS[1]), needs.OTHER_PYTHON)


def _packages(machine: Machine, extra: str) -> Iterator[Lack]:
    missing = machine.missing(extra)
    if missing:
        yield Lack(", ".join(missing), needs.INSTALL_COMMAND)


def _client(machine: Machine) -> Iterator[Lack]:
    yield from _python(machine)
    yield from _packages(machine, CORE)


def _embedded(machine: Machine) -> Iterator[Lack]:
    if not machine.can_embed:
        # Nothing that could be installed here would help, so nothing else is said.
        yield Lack("Linux on x86-64", "run it there, and give its address here: sightline detect --url HOST:8001")
        return
    yield from _client(machine)
    if machine.glibc_version is None or machine.glibc_version < needs.GLIBC:
        yield Lack("glibc {}.{} or newer".format(*needs.GLIBC), needs.NEWER_GLIBC)
    if machine.libpython is None:
        yield Lack("this Python's shared library", needs.libpython_command(machine))
    yield from _packages(machine, needs.SERVER_EXTRA)


def _export(machine: Machine) -> Iterator[Lack]:
    yield from _client(machine)
    yield from _packages(machine, needs.EXPORT_EXTRA)


def _docker_gpu(machine: Machine) -> Iterator[Lack]:
    if machine.system not in (LINUX, WINDOWS):
        yield Lack("an NVIDIA GPU", needs.GPU_ELSEWHERE)
        return
    if machine.driver is None or not machine.driver.gpus:
        if not machine.has_nvidia_card:
            yield Lack("an NVIDIA GPU", needs.GPU_ELSEWHERE)
            return
        yield Lack("the NVIDIA driver", needs.DRIVER_COMMAND)
    docker = machine.docker
    if docker is None:
        yield Lack("Docker", needs.docker_command(machine))
        yield Lack("the NVIDIA container toolkit", needs.TOOLKIT_COMMAND)
        return
    if docker.failure:
        yield Lack("a Docker engine that answers", needs.docker_repair(machine))
        return
    if not docker.compose_version:
        yield Lack("Docker compose", needs.COMPOSE_COMMAND)
    if not docker.has_nvidia_runtime:
        yield Lack("the NVIDIA container toolkit", needs.TOOLKIT_COMMAND)
