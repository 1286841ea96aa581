"""What a TensorRT plan was built for, and whether that is this machine.

A plan runs only on the TensorRT and the GPU that built it. This file needs nothing but Python's standard library, since
it also runs by itself in the serving container, before tritonserver starts:

    python3 manifest.py REPOSITORY [--rebuild COMMAND]

It prints nothing and gives 0 where every plan that would be served fits the machine, or where there is none. Else it
says on stderr what does not fit, and the command that builds it anew, and gives 1. Plans of others are not looked at.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

PLAN_FILE = "model.plan"
MANIFEST_FILE = "manifest.json"
CONFIG_FILE = "config.pbtxt"
NETWORK_SUFFIX = "_net"
JOURNAL_FILE = ".sightline-switch.json"
"""Stands in the repository while its configurations are being replaced."""
REBUILD_COMMAND = "sightline tensorrt build"
TRTEXEC_VARIABLE = "SIGHTLINE_TRTEXEC"
_TRTEXEC = "trtexec"
_TRTEXEC_IN_CONTAINERS = Path("/usr/src/tensorrt/bin/trtexec")
_NVIDIA_SMI = "nvidia-smi"
_ANSWER_SECONDS = 120
_BANNER = re.compile(r"\[TensorRT v(\d+)\]")
_PLAN_BACKEND = re.compile(r'\bbackend\s*:\s*"tensorrt"')
_OURS = '"sightline.'
_SERVED_VERSION = re.compile(r"\bspecific\s*:?\s*\{\s*versions\s*:\s*\[?\s*(\d+)")


class PlanError(Exception):
    """A plan, its manifest or the machine is not as it must be; the message says what, and what to do."""


@dataclass(frozen=True)
class Gpu:
    """One sort of GPU: its name and compute capability, as nvidia-smi tells them."""

    name: str
    compute_capability: str

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.compute_capability})"


@dataclass(frozen=True)
class Machine:
    """What a plan depends on: the version of TensorRT, such as 10.13.3, and the GPUs, one entry each."""

    tensorrt: str
    gpus: tuple[Gpu, ...]

    @property
    def gpu(self) -> Gpu:
        """The one sort of GPU.

        Raises:
            PlanError: there are several, and a plan fits one sort.
        """
        sorts = sorted(set(self.gpus), key=str)
        if len(sorts) != 1:
            raise PlanError(
                f"this machine has several sorts of GPU: {', '.join(map(str, sorts))}; a plan fits one. Give the "
                "container GPUs of one sort (device_ids in docker-compose.yml), and the others another container"
            )
        return sorts[0]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a plan is, as it stands in `manifest.json` beside it.

    Attributes:
        tensorrt: version of TensorRT that built it.
        gpu: name of the GPU.
        compute_capability: of that GPU.
        precision: arithmetic of the network, `fp16` or `fp32`.
        onnx_sha256: SHA-256 of the served ONNX file that it was made from, in hexadecimal.
        recipe: how that file's graph was changed, see `graph.RECIPE`.
        min_batch, opt_batch, max_batch: images in a batch: at least, tuned for, at most.
        plan_sha256: SHA-256 of the plan.
        plan_bytes: its length.
        built_at: when, in UTC, as ISO 8601 has it.
        parameters: what the detector tells about itself.
        rolled_back: whether somebody went back from it to an older one.
    """

    tensorrt: str
    gpu: str
    compute_capability: str
    precision: str
    onnx_sha256: str
    recipe: int
    min_batch: int
    opt_batch: int
    max_batch: int
    plan_sha256: str
    plan_bytes: int
    built_at: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    rolled_back: bool = False

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def misfits(self, machine: Machine) -> list[str]:
        """Why the plan does not run on a machine; [] is good."""
        found = [] if machine.tensorrt == self.tensorrt else [("TensorRT", self.tensorrt, machine.tensorrt)]
        built_for = Gpu(self.gpu, self.compute_capability)
        found += [("GPU", str(built_for), str(gpu)) for gpu in sorted(set(machine.gpus), key=str) if gpu != built_for]
        return [f"{what} is {has}, it was built for {wanted}" for what, wanted, has in found]


def read_manifest(version_folder: Path) -> Manifest:
    """The manifest of a plan.

    Raises:
        PlanError: there is none, or it cannot be read.
    """
    path = version_folder / MANIFEST_FILE
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {entry.name for entry in fields(Manifest)}
        return Manifest(**{name: value for name, value in values.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise PlanError(f"{path} is missing or unreadable ({error}), so nobody knows what its plan fits") from error


# --- the machine ------------------------------------------------------------------------------------------------
def find_machine() -> Machine:
    """TensorRT's version and the GPUs, as trtexec and nvidia-smi tell them.

    Raises:
        PlanError: one of them is not there or does not tell.
    """
    return Machine(tensorrt_version(find_trtexec()), find_gpus())


def find_trtexec() -> str:
    """Path of trtexec: `SIGHTLINE_TRTEXEC`, else that of the PATH, else that of NVIDIA's containers.

    Raises:
        PlanError: there is none.
    """
    named = os.environ.get(TRTEXEC_VARIABLE)
    found = shutil.which(named) if named else shutil.which(_TRTEXEC) or shutil.which(_TRTEXEC_IN_CONTAINERS)
    if found is None:
        where = f"{TRTEXEC_VARIABLE}={named}" if named else f"neither on the PATH nor at {_TRTEXEC_IN_CONTAINERS}"
        raise PlanError(
            f"there is no trtexec ({where}); use the container that serves (docker compose run --rm export), or name "
            f"the one of your TensorRT with {TRTEXEC_VARIABLE}"
        )
    return found


def tensorrt_version(trtexec: str) -> str:
    """Version of TensorRT, such as 10.13.3, from the first line that trtexec prints.

    Raises:
        PlanError: it prints no version.
    """
    printed = _answer([trtexec, "--help"])
    found = _BANNER.search(printed)
    if found is None:
        raise PlanError(f"{trtexec} does not tell its version; it printed: {printed.strip()[:300]!r}")
    number = int(found[1])
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def find_gpus() -> tuple[Gpu, ...]:
    """Every GPU that nvidia-smi lists.

    Raises:
        PlanError: there is no nvidia-smi or no GPU.
    """
    if shutil.which(_NVIDIA_SMI) is None:
        raise PlanError(
            "there is no nvidia-smi: no NVIDIA driver, or a container without a GPU (docker run --gpus all, or the GPU "
            "reservation of docker-compose.yml)"
        )
    printed = _answer([_NVIDIA_SMI, "--query-gpu=name,compute_cap", "--format=csv,noheader"], may_fail=False)
    rows = [[part.strip() for part in line.rsplit(",", 1)] for line in printed.splitlines() if line.strip()]
    if not rows or any(len(row) != 2 or not re.fullmatch(r"\d+\.\d+", row[1]) for row in rows):
        raise PlanError(f"nvidia-smi lists no GPU with its compute capability; it printed: {printed.strip()[:300]!r}")
    return tuple(Gpu(name, capability) for name, capability in rows)


def _answer(command: list[str], *, may_fail: bool = True) -> str:
    """What a command prints, on both of its channels."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlanError(f"{' '.join(command)} does not run: {error}") from error
    printed = done.stdout + done.stderr
    if done.returncode and not may_fail:
        raise PlanError(f"{' '.join(command)} ended with {done.returncode}: {printed.strip()[:300]}")
    return printed


# --- the repository ---------------------------------------------------------------------------------------------
def version_folders(model: Path) -> dict[int, Path]:
    """Version folders of a model, by number, oldest first."""
    named = (entry for entry in model.iterdir() if entry.is_dir() and re.fullmatch(r"[1-9]\d*", entry.name))
    return dict(sorted((int(entry.name), entry) for entry in named))


def served_version(model: Path) -> int | None:
    """The version that a model's configuration names, or the newest where it names none; None without any."""
    named = _SERVED_VERSION.search(_config_text(model))
    return int(named[1]) if named else max(version_folders(model), default=None)


def planned_models(repository: Path) -> Iterator[Path]:
    """Folders of the networks that `sightline tensorrt build` wrote, also of those that it was killed at."""
    for model in sorted(entry for entry in repository.iterdir() if entry.is_dir()):
        config = _config_text(model)
        built = _OURS in config and _PLAN_BACKEND.search(config)
        if built or (not config and model.name.endswith(NETWORK_SUFFIX)):
            yield model


def _config_text(model: Path) -> str:
    """Text of a model's configuration; empty where it has none."""
    path = model / CONFIG_FILE
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def faults(repository: Path, machine: Machine | None = None) -> list[str]:
    """Why the plans of a repository cannot be served here, as one message each; [] is good, and without plans.

    Args:
        repository: Triton's folder of models.
        machine: None asks trtexec and nvidia-smi, if there is a plan.

    Raises:
        PlanError: the machine cannot be found out about.
    """
    if (repository / JOURNAL_FILE).exists():
        return [f"{repository}: a build was killed while it replaced configurations; the next one finishes that"]
    found = []
    for model in planned_models(repository):
        machine = machine or find_machine()
        version = served_version(model)
        if version is None or not (model / CONFIG_FILE).exists():
            found.append(f"{model.name} has no {CONFIG_FILE} or no version: a build was killed; the next one cleans up")
            continue
        folder = model / str(version)
        try:
            reasons = [*read_manifest(folder).misfits(machine), *_damage(folder)]
        except PlanError as error:
            reasons = [str(error)]
        found += [f"{model.name} version {version}: {reason}" for reason in reasons]
    return found


def _damage(folder: Path) -> list[str]:
    """Whether the plan is another file than its manifest describes."""
    manifest, plan = read_manifest(folder), folder / PLAN_FILE
    if not plan.is_file():
        return [f"{PLAN_FILE} is missing"]
    if plan.stat().st_size != manifest.plan_bytes:
        return [f"{PLAN_FILE} has {plan.stat().st_size:,} bytes, its manifest says {manifest.plan_bytes:,}"]
    return [] if file_sha256(plan) == manifest.plan_sha256 else [f"{PLAN_FILE} is not the file of its manifest"]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Run as a program; gives its exit status."""
    parser = argparse.ArgumentParser(description="Refuse TensorRT plans that were built for another machine.")
    parser.add_argument("repository", type=Path)
    parser.add_argument("--rebuild", default=REBUILD_COMMAND, help="command to name where a plan does not fit")
    options = parser.parse_args(arguments)
    try:
        found = faults(options.repository)
    except (PlanError, OSError) as error:
        found = [str(error)]
    for message in found:
        print(f"plan refused: {message}", file=sys.stderr)
    if found:
        print(f"build it for this machine: {options.rebuild}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
