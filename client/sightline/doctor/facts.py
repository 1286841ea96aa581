"""What is known about a machine: plain values, so that every judgement can be tried on any machine's facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sightline.contract import MODEL_REPOSITORY

SUBSTITUTES = {"onnxruntime": "onnxruntime-gpu"}
"""Packages that bring the same modules as others, and more."""
LINUX, MACOS, WINDOWS = "Linux", "Darwin", "Windows"
X86_64, ARM64 = "x86_64", "arm64"


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """The processor.

    Attributes:
        model: marketing name, empty if unknown.
        features: flags as Linux names them in `/proc/cpuinfo`; empty if unknown.
        usable_cores: what this process may use, in whole or part cores (affinity and cgroup quota).
        machine_cores: what the machine has.
    """

    model: str = ""
    features: frozenset[str] = frozenset()
    usable_cores: float = 1.0
    machine_cores: int = 1


@dataclass(frozen=True)
class Space:
    """Bytes of a memory or a file system."""

    total_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU."""

    name: str
    memory_bytes: int
    compute_capability: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class NvidiaDriver:
    """What the NVIDIA driver says; `cuda_version` is the newest CUDA it runs, such as (12, 8)."""

    version: str
    cuda_version: tuple[int, int]
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True, kw_only=True)
class Docker:
    """What `docker info` says; a version is empty where that part is absent, `failure` where all is well."""

    engine_version: str = ""
    compose_version: str = ""
    has_nvidia_runtime: bool = False
    failure: str = ""


@dataclass(frozen=True)
class Port:
    """A port that Sightline uses by default, and who answers there; empty if it is free."""

    number: int
    use: str
    listener: str = ""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Everything that the checks look at; None where a thing does not exist or cannot be known on that system."""

    system: str
    system_name: str
    architecture: str
    python_version: tuple[int, int, int]
    python_path: Path
    glibc_version: tuple[int, int] | None = None
    libpython: Path | None = None
    cpu: Cpu = field(default_factory=Cpu)
    memory: Space | None = None
    shared_memory: Space | None = None
    disk: Space | None = None
    open_file_limit: int | None = None
    driver: NvidiaDriver | None = None
    has_nvidia_card: bool = False
    docker: Docker | None = None
    ports: tuple[Port, ...] = ()
    packages: Mapping[str, str | None] = field(default_factory=dict)
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    repository: Path = Path(MODEL_REPOSITORY)
    models: tuple[str, ...] | None = None

    @property
    def can_embed(self) -> bool:
        """Whether the embedded server's wheels exist for this system and architecture."""
        return self.system == LINUX and self.architecture == X86_64

    @property
    def has_gpu(self) -> bool:
        """Whether there is an NVIDIA GPU with a driver that works."""
        return self.driver is not None and bool(self.driver.gpus)

    def missing(self, extra: str) -> list[str]:
        """Packages of an extra that are not installed, nor what takes their place."""
        return [name for name in self.extras.get(extra, ()) if not self.found(name)]

    def found(self, package: str) -> str:
        """Name and version of a package, or of what takes its place; empty where neither is installed."""
        names = (SUBSTITUTES.get(package, package), package)
        return next((f"{name} {self.packages[name]}" for name in names if self.packages.get(name) is not None), "")
