"""What can go wrong while plans are built; what is served stays what it was."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.export.fake_tensorrt import L4, T4, write_tiny_detector
from tests.export.tensorrt_workshop import Workshop

from sightline.detector_info import DetectorInfo
from sightline.errors import ExportError, InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.repository import install_detector


# --- what fails -------------------------------------------------------------------------------------------------
def fails(workshop: Workshop, **told: Any) -> str:
    """Why a build fails that follows a good one, which stays as it is."""
    workshop.build_one()
    before = {path: path.read_bytes() for path in workshop.plans.rglob("*") if path.is_file()}
    workshop.tools.tell(**told)
    outcome = workshop.build_one(force=True, timeout_seconds=2)
    assert outcome.state == "failed"
    assert {path: path.read_bytes() for path in workshop.plans.rglob("*") if path.is_file()} == before
    workshop.check_whole()
    return outcome.reason


def test_the_last_errors_of_trtexec_are_shown(workshop: Workshop) -> None:
    errors = [f"[01/01/2026-00:00:0{i}] [E] Error[{i}]: layer {i} is too wide" for i in range(10)]
    reason = fails(workshop, status=1, plan_bytes=None, prints=[*errors, "&&&& FAILED TensorRT.trtexec"])
    assert "trtexec failed with status 1" in reason
    assert "layer 9 is too wide" in reason
    assert "layer 1 is too wide" not in reason
    assert "layer 1 is too wide" in (workshop.cache / "tiny.log").read_text()


def test_without_errors_the_last_lines_are_shown(workshop: Workshop) -> None:
    assert "terminate called" in fails(workshop, status=1, prints=["terminate called after std::bad_alloc"])


def test_a_killed_trtexec_is_told_apart(workshop: Workshop) -> None:
    assert "was ended by signal 9" in fails(workshop, signal=int(signal.SIGKILL))


def test_a_disk_that_is_full_for_trtexec(workshop: Workshop) -> None:
    reason = fails(workshop, status=1, plan_bytes=100, prints=["[E] Saving engine to file failed: No space left"])
    assert "No space left" in reason


@pytest.mark.parametrize("plan_bytes", [None, 0])
def test_success_without_a_plan_is_none(workshop: Workshop, plan_bytes: int | None) -> None:
    assert "wrote no plan" in fails(workshop, plan_bytes=plan_bytes)


def test_a_build_that_takes_too_long_ends_with_all_that_it_started(workshop: Workshop) -> None:
    mark = f"sightline-test-{os.getpid()}"
    assert "took longer than 2 seconds" in fails(workshop, seconds=600, starts=mark)
    deadline = time.monotonic() + 10
    while running(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(mark)


def running(mark: str) -> list[str]:
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if mark in line]


@contextlib.contextmanager
def no_file_larger_than(size_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_for_the_repository(workshop: Workshop) -> None:
    """The kernel ends a write of ours half way, as on a full disk; trtexec's own was done."""
    with no_file_larger_than(1 << 20):
        reason = fails(workshop, plan_bytes=3 << 20)
    assert "File too large" in reason
    assert str(workshop.plans) in reason


def test_a_disk_that_is_full_at_the_first_build_leaves_nothing(workshop: Workshop) -> None:
    workshop.tools.tell(plan_bytes=3 << 20)
    with no_file_larger_than(1 << 20):
        assert workshop.build_one().state == "failed"
    assert list(workshop.plans.iterdir()) == []


def test_a_repository_that_cannot_be_written_is_found_out_before_trtexec_works(workshop: Workshop) -> None:
    workshop.plans.write_text("a file")
    with pytest.raises(ExportError, match=r"plans cannot be written by user \d+: .* set CONTAINER_UID in \.env"):
        workshop.build()
    assert not workshop.cache.exists()


def test_the_reason_of_a_failure_to_write_is_not_lost(workshop: Workshop) -> None:
    workshop.plans.mkdir()
    (workshop.plans / "tiny_net").write_text("a file")
    outcome = workshop.build_one()
    assert outcome.state == "failed"
    assert "File exists" in outcome.reason or "Not a directory" in outcome.reason


def test_a_cache_that_cannot_be_used(workshop: Workshop) -> None:
    workshop.cache.write_text("a file")
    with pytest.raises(ExportError, match="choose another with --cache"):
        workshop.build()


def test_one_failure_does_not_keep_the_others_from_being_built(workshop: Workshop) -> None:
    write_tiny_detector(workshop.models, "broken")
    (workshop.models / "broken_net" / "1" / "model.onnx").write_bytes(b"\xff\xffnonsense")
    varying = DetectorInfo(class_names=("cat",), preprocessing=Preprocessing.resize(shorter=800, longest=1333))
    install_detector(workshop.models, "photos", b"", varying)
    states = {outcome.detector: outcome.state for outcome in workshop.build()}
    assert states == {"broken": "failed", "photos": "no plan", "tiny": "built"}
    workshop.check_whole()


def test_a_detector_that_is_not_there(workshop: Workshop) -> None:
    with pytest.raises(InvalidOptionError, match=r"no detector zebra that .* it has tiny"):
        workshop.build("zebra")


# --- the machine ------------------------------------------------------------------------------------------------
def test_gpus_of_several_sorts_are_refused(workshop: Workshop) -> None:
    workshop.tools.gpus(L4, T4)
    with pytest.raises(ExportError, match=r"several sorts of GPU: NVIDIA L4 .* Tesla T4 .*; a plan fits one"):
        workshop.build()


def test_gpus_of_one_sort_share_a_plan(workshop: Workshop) -> None:
    workshop.tools.gpus(L4, L4, L4)
    assert workshop.build_one().state == "built"
    assert workshop.progress[0] == "TensorRT 10.13.3, 3 x NVIDIA L4 (compute capability 8.9)"


def test_a_tensorrt_that_is_too_old_is_refused(workshop: Workshop) -> None:
    workshop.tools.tell(banner="&&&& RUNNING TensorRT.trtexec [TensorRT v8603] # trtexec")
    with pytest.raises(ExportError, match=r"too old: plans need 10\.0 or newer"):
        workshop.build()


def test_a_machine_without_the_programs_is_told_what_to_do(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_TRTEXEC", "/nowhere/trtexec")
    with pytest.raises(ExportError, match=r"there is no trtexec \(SIGHTLINE_TRTEXEC=/nowhere/trtexec\)"):
        workshop.build()
    monkeypatch.setenv("SIGHTLINE_TRTEXEC", str(workshop.tools.folder / "trtexec"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ExportError, match="no nvidia-smi"):
        workshop.build()
