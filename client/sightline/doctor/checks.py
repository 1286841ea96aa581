"""What each fact about a machine means for Sightline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from sightline.doctor import needs
from sightline.doctor.cpu import FEATURES, bf16_pays, named_features
from sightline.doctor.facts import ARM64, LINUX, X86_64, Machine, Port, Space
from sightline.doctor.packages import CORE, DISTRIBUTION

Status = Literal["ok", "info", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One fact, judged.

    Attributes:
        name: what was looked at.
        status: `ok`, `info` (no judgement), `warn` (works, but worse) or `fail` (something will not work).
        detail: what was found.
        advice: what to do about it, empty if nothing.
    """

    name: str
    status: Status
    detail: str
    advice: str = ""


def check_machine(machine: Machine) -> list[Check]:
    """Every check, in the order in which a reader wants them."""
    return [check for judge in _JUDGES for check in judge(machine)]


def _system(machine: Machine) -> Iterable[Check]:
    detail = f"{machine.system_name}, {machine.architecture}"
    if machine.can_embed:
        yield Check("system", "ok", detail)
    elif machine.architecture in (X86_64, ARM64):
        yield Check("system", "info", detail, needs.EMBEDDED_PLATFORM)
    else:
        yield Check("system", "warn", detail, "untried here; the client needs wheels of grpcio and numpy")


def _glibc(machine: Machine) -> Iterable[Check]:
    if machine.system != LINUX:
        return
    least = ".".join(map(str, needs.GLIBC))
    if machine.glibc_version is None:
        yield Check("glibc", "warn", "another C library (musl?)", f"the embedded server needs glibc {least} or newer")
        return
    detail = ".".join(map(str, machine.glibc_version))
    if machine.glibc_version >= needs.GLIBC:
        yield Check("glibc", "ok", detail)
    else:
        yield Check("glibc", "warn", detail, f"the embedded server needs {least} or newer: {needs.NEWER_GLIBC}")


def _python(machine: Machine) -> Iterable[Check]:
    detail = f"{'.'.join(map(str, machine.python_version))} at {machine.python_path}"
    if needs.PYTHONS[0] <= machine.python_version[:2] <= needs.PYTHONS[1]:
        yield Check("Python", "ok", detail)
    else:
        yield Check("Python", "fail", detail, needs.OTHER_PYTHON)
    if not machine.can_embed:
        return
    if machine.libpython is not None:
        yield Check("libpython", "ok", str(machine.libpython))
    else:
        detail = "this Python has no shared library, which the embedded server loads"
        yield Check("libpython", "warn", detail, needs.libpython_command(machine))


def _cpu(machine: Machine) -> Iterable[Check]:
    cpu = machine.cpu
    cores = f"{cpu.usable_cores:g} of {cpu.machine_cores} cores"
    few = cpu.usable_cores < needs.CORES
    advice = "one core does decoding, network and server in turns" if few else ""
    yield Check("CPU", "warn" if few else "ok", f"{cpu.model or machine.architecture}, {cores}", advice)
    if not cpu.features:
        return
    detail = ", ".join(named_features(cpu.features)) or f"none of {', '.join(FEATURES)}"
    if machine.architecture != X86_64:
        yield Check("CPU features", "info", detail)
    elif bf16_pays(cpu.features):
        yield Check(
            "CPU features", "ok", detail, "sightline export --precision bf16 is about twice as fast as fp32 here"
        )
    elif "avx2" not in cpu.features:
        yield Check("CPU features", "warn", detail, "without AVX2 a network is several times slower")
    else:
        yield Check("CPU features", "info", detail, "no BF16 instructions: keep --precision fp32, bf16 would be slower")


def _spaces(machine: Machine) -> Iterable[Check]:
    yield from _space(
        "memory", machine.memory, needs.MEMORY_BYTES, "close something: a server and its models take about that"
    )
    advice = "in Docker: --shm-size 1g (compose: shm_size); elsewhere: sudo mount -o remount,size=1G /dev/shm"
    yield from _space("/dev/shm", machine.shared_memory, needs.SHARED_MEMORY_BYTES, advice)
    advice = "the extras take about 7 GB, NVIDIA's container about 20 GB"
    yield from _space("disk", machine.disk, needs.DISK_BYTES, advice)


def _space(name: str, space: Space | None, least_bytes: int, advice: str) -> Iterable[Check]:
    if space is None:
        return
    detail = f"{_size(space.free_bytes)} free of {_size(space.total_bytes)}"
    few = space.free_bytes < least_bytes
    yield Check(name, "warn" if few else "ok", detail, f"less than {_size(least_bytes)}: {advice}" if few else "")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _open_files(machine: Machine) -> Iterable[Check]:
    limit = machine.open_file_limit
    if limit is None:
        return
    detail = "unlimited" if limit < 0 else f"{limit}"
    few = 0 <= limit < needs.OPEN_FILES
    yield Check("open files", "warn" if few else "ok", detail, f"ulimit -n {needs.OPEN_FILES * 4}" if few else "")


def _gpu(machine: Machine) -> Iterable[Check]:
    driver = machine.driver
    if driver is None or not driver.gpus:
        if machine.has_nvidia_card:
            detail = "an NVIDIA card is there, but its driver is not loaded"
            yield Check("GPU", "warn", detail, needs.DRIVER_COMMAND)
        else:
            yield Check("GPU", "info", "no NVIDIA GPU: the CPU does the work")
        return
    for gpu in driver.gpus:
        capability = ".".join(map(str, gpu.compute_capability))
        yield Check("GPU", "ok", f"{gpu.name}, {_size(gpu.memory_bytes)}, compute capability {capability}")
    detail = f"driver {driver.version}, CUDA up to {'.'.join(map(str, driver.cuda_version))}"
    if driver.cuda_version >= needs.CUDA:
        yield Check("NVIDIA driver", "ok", detail)
    else:
        yield Check("NVIDIA driver", "warn", detail, needs.NEWER_DRIVER)


def _docker(machine: Machine) -> Iterable[Check]:
    docker = machine.docker
    if docker is None:
        yield Check("Docker", "info", "not installed", "needed for NVIDIA's container only")
        return
    if docker.failure:
        status: Status = "info" if machine.driver is None else "warn"
        yield Check("Docker", status, docker.failure, needs.docker_repair(machine))
        return
    yield Check("Docker", "ok", f"engine {docker.engine_version}")
    if docker.compose_version:
        yield Check("Docker compose", "ok", docker.compose_version)
    else:
        yield Check("Docker compose", "warn", "not installed", needs.COMPOSE_COMMAND)
    if docker.has_nvidia_runtime:
        yield Check("NVIDIA container toolkit", "ok", "Docker knows it")
    elif machine.driver is not None:
        yield Check("NVIDIA container toolkit", "warn", "Docker does not know it", needs.TOOLKIT_COMMAND)


def _ports(machine: Machine) -> Iterable[Check]:
    for port in machine.ports:
        yield _port(port)


def _port(port: Port) -> Check:
    name = f"port {port.number} ({port.use})"
    if not port.listener:
        return Check(name, "ok", "free")
    if "Triton" in port.listener:
        return Check(name, "info", f"{port.listener} answers", "a second server needs other ports")
    option = f"--{port.use.lower()}-port"
    return Check(name, "warn", f"taken by {port.listener}", f"sightline serve {option} 0 picks a free one")


def _packages(machine: Machine) -> Iterable[Check]:
    own = machine.packages.get(DISTRIBUTION)
    if own is None:
        yield Check(DISTRIBUTION, "warn", "runs from source; it is not installed", needs.INSTALL_COMMAND)
    for extra in sorted(machine.extras, key=lambda name: (name != CORE, name)):
        if extra == needs.SERVER_EXTRA and not machine.can_embed:
            continue  # it installs nothing there
        if extra == needs.GPU_EXTRA and not (machine.has_gpu and machine.can_embed):
            continue
        missing = machine.missing(extra)
        versions = [machine.found(name) for name in machine.extras[extra] if name not in missing]
        if extra == CORE:
            versions = [f"{DISTRIBUTION} {own}", *versions]
        name = extra if extra == CORE else f"[{extra}]"
        if not missing:
            yield Check(name, "ok", ", ".join(versions))
        else:
            detail = f"missing {', '.join(missing)}" + (f"; has {', '.join(versions)}" if versions else "")
            command = needs.GPU_INSTALL_COMMAND if extra == needs.GPU_EXTRA else needs.INSTALL_COMMAND
            yield Check(name, "fail" if extra == CORE else "info", detail, command)


def _models(machine: Machine) -> Iterable[Check]:
    name = "model repository"
    if machine.models is None:
        advice = "sightline export CHECKPOINT makes it; or start in the checkout, or give --repository"
        yield Check(name, "info", f"there is no {machine.repository}", advice)
    elif not machine.models:
        yield Check(name, "warn", f"{machine.repository} is empty", "sightline export CHECKPOINT")
    else:
        yield Check(name, "ok", f"{machine.repository}: {', '.join(machine.models)}", "sightline check looks into it")


_JUDGES: tuple[Callable[[Machine], Iterable[Check]], ...] = (
    _system,
    _glibc,
    _python,
    _cpu,
    _spaces,
    _open_files,
    _gpu,
    _docker,
    _ports,
    _packages,
    _models,
)
