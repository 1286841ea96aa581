"""A build that is killed at any moment leaves what was served before, or the new version, or says so."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.export.fake_tensorrt import PLAN, write_tiny_detector
from tests.export.tensorrt_workshop import Workshop

from sightline_export.config import parse
from sightline_export.lint import lint
from sightline_export.tensorrt.manifest import Manifest, faults, find_machine, read_manifest
from sightline_export.tensorrt.plans import NewPlan, install_plan, list_plans, roll_back, shared_files
from sightline_export.tensorrt.sources import find_sources
from sightline_export.tensorrt.switch import opened

STEPS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "open")
"""What Python reports before it changes a file."""


def test_a_command_that_is_killed_while_trtexec_runs(workshop: Workshop) -> None:
    workshop.build_one()
    workshop.tools.tell(kills_parent=True)
    options = [f"--repository={workshop.models}", f"--plans={workshop.plans}", f"--cache={workshop.cache}"]
    program = str(Path(sys.executable).parent / "sightline")
    command = [program, "tensorrt", "build", *options, "--precision=fp32", "--force"]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert workshop.versions == {1: True}
    assert list(workshop.cache.glob("work-*"))
    workshop.tools.tell(kills_parent=False)
    assert workshop.build_one(force=True).version == 2
    workshop.check_whole()


# --- at every step ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Installation:
    """The last step of a build: a finished plan becomes what is served."""

    plans: Path
    plan: Path
    manifest: Manifest
    shared: dict[str, bytes]

    def run(self) -> None:
        install_plan(self.plans, "tiny", NewPlan(self.plan, self.manifest, self.shared), keep=2)


def prepare(workshop: Workshop) -> Installation:
    """Of another detector than is served: other boxes, other pixels, another number of slots."""
    write_tiny_detector(workshop.models, "tiny", seed=1, max_detections=30)
    (source,) = find_sources(workshop.models)
    plan = workshop.plans.parent / "new.plan"
    plan.write_bytes(PLAN)
    before = read_manifest(workshop.plans / "tiny_net" / "1")
    manifest = replace(before, parameters=source.info.to_parameters(), opt_batch=4)
    shared = shared_files(source, source.info)
    shared["letterbox_320/1/dali.py"] += b"# newer"
    return Installation(workshop.plans, plan, manifest, shared)


def dies_at(step: int, folder: Path, work: Any) -> bool:
    """Whether `work`, in a process of its own, was killed before the so-manyth change below `folder`."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        changes = event in STEPS and (event != "open" or arguments[1] not in (None, "r", "rb"))
        if changes and str(arguments[0]).startswith(str(folder)):
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    status = 1
    try:
        sys.addaudithook(watch)
        work()
        status = 0
    finally:
        os._exit(status)


def slots(plans: Path, model: str) -> int:
    (output,) = (each for each in parse((plans / model / "config.pbtxt").read_text()).output if each.name == "scores")
    return int(output.dims[0])


def every_death(workshop: Workshop, pristine: Path, work: Any) -> Iterator[int]:
    """The repository as `work` leaves it that is killed at its first change, at its second, and so on to the last."""
    step, killed = 0, True
    while killed:
        shutil.rmtree(workshop.plans, ignore_errors=True)
        if pristine.exists():
            shutil.copytree(pristine, workshop.plans, symlinks=True)
        killed = dies_at(step, workshop.plans, work)
        yield step
        step += 1
    assert step > 10


def test_a_switch_that_is_killed_at_any_step_is_no_half_switch(workshop: Workshop, tmp_path: Path) -> None:
    workshop.build_one()
    pristine = workshop.plans.rename(tmp_path / "pristine")
    shutil.copytree(pristine, workshop.plans)
    installation, machine, ends = prepare(workshop), find_machine(), set()
    for step in every_death(workshop, pristine, installation.run):
        refused = faults(workshop.plans, machine)
        if not refused:
            # What a server would load now belongs together.
            assert slots(workshop.plans, "tiny") == slots(workshop.plans, "tiny_net"), step
        assert all("was killed" in reason for reason in refused), (step, refused)
        with opened(workshop.plans):
            pass
        workshop.check_whole()
        assert slots(workshop.plans, "tiny") == slots(workshop.plans, "tiny_net")
        (served,) = (plan.version for plan in list_plans(workshop.plans) if plan.served)
        ends.add((served, slots(workshop.plans, "tiny")))
    assert ends == {(1, 40), (2, 30)}


def test_a_first_build_that_is_killed_at_any_step_is_taken_up_by_the_next(workshop: Workshop, tmp_path: Path) -> None:
    workshop.build_one()
    installation, machine, found = prepare(workshop), find_machine(), set()
    for step in every_death(workshop, tmp_path / "nothing", installation.run):
        if workshop.plans.exists():
            broken = [f for f in lint(workshop.plans) if f.severity == "error" and f.rule != "empty-repository"]
            # Where a server could not load it, start.sh is told not to start one.
            assert not broken or faults(workshop.plans, machine), (step, broken)
        with opened(workshop.plans):
            pass
        assert not list(workshop.plans.rglob(".sightline*"))
        models = {path.name for path in workshop.plans.iterdir()}
        found.add(frozenset(models))
        if models:
            workshop.check_whole()
    assert found == {frozenset(), frozenset({"tiny", "tiny_net", "letterbox_320"})}


def test_a_rollback_that_is_killed_at_any_step(workshop: Workshop, tmp_path: Path) -> None:
    workshop.build_one()
    prepare(workshop).run()
    pristine = workshop.plans.rename(tmp_path / "pristine")
    shutil.copytree(pristine, workshop.plans)
    for _ in every_death(workshop, pristine, lambda: roll_back(workshop.plans, "tiny")):
        with opened(workshop.plans):
            pass
        workshop.check_whole()
        assert slots(workshop.plans, "tiny") == slots(workshop.plans, "tiny_net")
        left = {plan.version for plan in list_plans(workshop.plans) if plan.manifest and plan.manifest.rolled_back}
        assert left == {version for version, served in workshop.versions.items() if version == 2 and not served}
    assert workshop.versions == {1: True, 2: False}
