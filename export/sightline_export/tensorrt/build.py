"""From a model repository to a repository of plans."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from sightline import contract
from sightline.detector_info import DetectorInfo
from sightline.errors import ExportError, NotPlannableError, SightlineError
from sightline_export.repository_lock import locked

from .manifest import PLAN_FILE, Gpu, Machine, Manifest, PlanError, file_sha256, find_machine, find_trtexec
from .options import BuildOptions
from .plan_config import plan_info, squared_info
from .plannable import RECIPE, check_plannable
from .plans import NewPlan, PlanVersion, install_plan, list_plans, serve_plan, shared_files
from .sources import Source, find_sources
from .trtexec import PlanJob, check_version, run_trtexec

Progress = Callable[[str], None]
State = Literal["built", "up to date", "switched", "rolled back", "no plan", "failed"]
_WORK_PREFIX = "work-"
_IDENTITY = (
    *("tensorrt", "gpu", "compute_capability", "precision"),
    *("onnx_sha256", "recipe", "min_batch", "opt_batch", "max_batch"),
)
"""Entries of a manifest that make it another plan."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one detector.

    Attributes:
        detector: its name.
        state: `built`; `up to date`; `switched` to a version that was there; `rolled back` by somebody, and left so;
            `no plan`, as it cannot be one; or `failed`.
        version: the version that is served then; 0 without one.
        reason: why, in words; empty where all is well.
    """

    detector: str
    state: State
    version: int = 0
    reason: str = ""


def build_plans(
    repository: Path,
    plans: Path,
    *,
    names: Sequence[str] = (),
    options: BuildOptions | None = None,
    progress: Progress = lambda _: None,
) -> Iterator[Outcome]:
    """Bring the plans of a model repository's detectors up to date, one after the other.

    Args:
        repository: what `sightline export` wrote.
        plans: the repository of plans, which is complete by itself; made if it is missing.
        names: the detectors; () takes all.
        options: what can be chosen.
        progress: is told each step.

    Raises:
        InvalidOptionError: there is no such detector.
        ExportError: the machine has no trtexec, no GPU, several sorts of GPU or too old a TensorRT, or the repository
            of plans or the cache folder cannot be written.
    """
    options = options or BuildOptions()
    sources = find_sources(repository, names)
    machine = _machine(progress)
    _check_writable(plans)
    cache = options.cache.expanduser()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache):
            for left in cache.glob(f"{_WORK_PREFIX}*"):
                shutil.rmtree(left)
            builder = _Builder(plans, machine, replace(options, cache=cache), progress)
            for source in sources:
                yield builder.bring_up_to_date(source)
        if not names:
            _tell_left_over(plans, {source.name for source in sources}, progress)
    except OSError as error:
        raise ExportError(f"the cache folder {cache} cannot be used: {error}; choose another with --cache") from error


def _check_writable(plans: Path) -> None:
    """Before trtexec works for minutes."""
    there = plans.absolute()
    try:
        with tempfile.TemporaryFile(dir=next(path for path in (there, *there.parents) if path.exists())):
            pass
    except OSError as error:
        raise ExportError(
            f"the repository of plans {plans} cannot be written by user {os.getuid()}: {error}; give the folder to "
            "them, or with docker compose set CONTAINER_UID in .env to whom it belongs"
        ) from error


def _tell_left_over(plans: Path, known: set[str], progress: Progress) -> None:
    for name in sorted({plan.detector for plan in list_plans(plans)} - known):
        network = contract.network_name(name)
        progress(
            f"{name}: not in the model repository; delete {plans / name} and {plans / network} to serve it no more"
        )


def _machine(progress: Progress) -> Machine:
    try:
        machine = find_machine()
        progress(f"TensorRT {machine.tensorrt}, {len(machine.gpus)} x {machine.gpu}")
    except PlanError as error:
        raise ExportError(str(error)) from error
    check_version(machine.tensorrt)
    return machine


@dataclass(frozen=True)
class _Builder:
    plans: Path
    machine: Machine
    options: BuildOptions
    progress: Progress

    def bring_up_to_date(self, source: Source) -> Outcome:
        try:
            check_plannable(source.info)
            return self._bring_up_to_date(source)
        except NotPlannableError as error:
            return Outcome(detector=source.name, state="no plan", reason=str(error))
        except (SightlineError, PlanError) as error:
            return Outcome(detector=source.name, state="failed", reason=str(error))
        except OSError as error:
            reason = (
                f"{error}; what was served stays so. Plans go to {self.plans}, their making to {self.options.cache}"
            )
            return Outcome(detector=source.name, state="failed", reason=reason)

    def _bring_up_to_date(self, source: Source) -> Outcome:
        info = plan_info(squared_info(source.info), self.options.precision)
        if info.preprocessing != source.info.preprocessing:
            self.progress(f"{source.name}: its plan sees squares ({info.preprocessing}), where it sees rectangles")
        wanted = self._wanted(source, info)
        there = [] if self.options.force else [plan for plan in self._versions(source) if _same(plan.manifest, wanted)]
        best = max(there, key=lambda plan: (plan.served, plan.version), default=None)
        if best is not None and best.manifest is not None and best.manifest.rolled_back and not best.served:
            serving = next((plan.version for plan in self._versions(source) if plan.served), 0)
            reason = f"version {best.version} was rolled back and is left so; --force builds it anew"
            return Outcome(detector=source.name, state="rolled back", version=serving, reason=reason)
        if best is not None:
            shared = shared_files(source, info)
            serve_plan(self.plans, source.name, best.version, info, shared)
            state: State = "up to date" if best.served else "switched"
            return Outcome(detector=source.name, state=state, version=best.version)
        return Outcome(detector=source.name, state="built", version=self._build(source, info, wanted))

    def _versions(self, source: Source) -> list[PlanVersion]:
        """Those whose plan is there as its manifest says."""
        network = self.plans / contract.network_name(source.name)
        found = (plan for plan in list_plans(self.plans) if plan.detector == source.name)
        return [
            plan for plan in found if plan.manifest and _size(network / str(plan.version)) == plan.manifest.plan_bytes
        ]

    def _wanted(self, source: Source, info: DetectorInfo) -> Manifest:
        """The manifest that the plan will have, but for the plan itself."""
        gpu: Gpu = self.machine.gpu
        largest = info.preprocessing.max_batch_size
        return Manifest(
            tensorrt=self.machine.tensorrt,
            gpu=gpu.name,
            compute_capability=gpu.compute_capability,
            precision=self.options.precision,
            onnx_sha256=file_sha256(source.onnx),
            recipe=RECIPE,
            min_batch=1,
            opt_batch=min(self.options.opt_batch, largest),
            max_batch=largest,
            plan_sha256="",
            plan_bytes=0,
            built_at="",
            parameters=info.to_parameters(),
        )

    def _build(self, source: Source, info: DetectorInfo, wanted: Manifest) -> int:
        with tempfile.TemporaryDirectory(prefix=_WORK_PREFIX, dir=self.options.cache) as folder:
            job = self._job(Path(folder), source, wanted)
            # The heavy packages are not needed where every plan is up to date.
            from .prepare import write_graph

            self.progress(f"{source.name}: making its graph for TensorRT and comparing it with the served one")
            compared = write_graph(source, self.options, job.onnx)
            self.progress(f"{source.name}: {compared}")
            self.progress(
                f"{source.name}: trtexec builds the plan ({wanted.precision}), which takes minutes; log: {job.log}"
            )
            timeout = self.options.timeout_seconds
            run_trtexec(find_trtexec(), job, tensorrt=self.machine.tensorrt, timeout_seconds=timeout)
            manifest = replace(
                wanted,
                plan_sha256=file_sha256(job.plan),
                plan_bytes=job.plan.stat().st_size,
                built_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            )
            new = NewPlan(job.plan, manifest, shared_files(source, info))
            return install_plan(self.plans, source.name, new, keep=self.options.keep)

    def _job(self, folder: Path, source: Source, wanted: Manifest) -> PlanJob:
        cache = self.options.cache
        return PlanJob(
            onnx=folder / contract.ONNX_FILE,
            plan=folder / PLAN_FILE,
            log=cache / f"{source.name}.log",
            inputs=squared_info(source.info).preprocessing.network_inputs,
            batches=(wanted.min_batch, wanted.opt_batch, wanted.max_batch),
            workspace_mib=self.options.workspace_mib,
            timing_cache=cache / f"timing-{wanted.tensorrt}-{wanted.compute_capability}.cache",
        )


def _same(manifest: Manifest | None, wanted: Manifest) -> bool:
    return manifest is not None and all(getattr(manifest, name) == getattr(wanted, name) for name in _IDENTITY)


def _size(folder: Path) -> int:
    plan = folder / PLAN_FILE
    return plan.stat().st_size if plan.is_file() else -1
