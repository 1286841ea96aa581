"""Programs by the names of trtexec and nvidia-smi, real executables that do what a test tells them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tests.export.tiny import TINY_SIZE, prediction, tiny_model

from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing
from sightline_export.graph import GraphSettings, compose
from sightline_export.heads import HEADS
from sightline_export.pixels import ZERO_TO_ONE
from sightline_export.repository import install_detector

PLAN = b"a plan, as far as anybody looks " * 64
L4, T4 = "NVIDIA L4, 8.9", "Tesla T4, 7.5"
_TRTEXEC = """#!{python} -SE
import json, os, resource, signal, subprocess, sys, time

folder = os.path.dirname(os.path.abspath(__file__))
told = json.load(open(os.path.join(folder, "told.json")))
with open(os.path.join(folder, "calls.jsonl"), "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
print(told["banner"], flush=True)
given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
if "--help" in given:
    sys.exit(0)
open(given["--onnx"], "rb").read()
print("[01/01/2026-00:00:00] [I] Building", flush=True)
if told["starts"]:
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)", told["starts"]])
if told["kills_parent"]:
    os.kill(os.getppid(), signal.SIGKILL)
time.sleep(told["seconds"])
# What this process may write is its own affair.
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
if told["copies_onnx"]:
    open(given["--saveEngine"], "wb").write(open(given["--onnx"], "rb").read())
elif told["plan_bytes"] is not None:
    with open(given["--saveEngine"], "wb") as plan:
        plan.write((told["plan"].encode() * (told["plan_bytes"] // len(told["plan"]) + 1))[: told["plan_bytes"]])
for line in told["prints"]:
    print(line, flush=True)
if told["signal"]:
    os.kill(os.getpid(), told["signal"])
sys.exit(told["status"])
"""
_NVIDIA_SMI = """#!/bin/sh
cat "$(dirname "$0")/gpus"
exit "$(cat "$(dirname "$0")/gpus_status")"
"""


class FakeTensorRT:
    """A folder for the PATH with both programs.

    Args:
        folder: where; empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told: dict[str, Any] = {
            "banner": "",
            "starts": "",
            "kills_parent": False,
            "seconds": 0,
            "signal": 0,
            "status": 0,
            "prints": [],
            "plan": PLAN.decode(),
            "plan_bytes": len(PLAN),
            "copies_onnx": False,
        }
        self._write("trtexec", _TRTEXEC.format(python=sys.executable))
        self._write("nvidia-smi", _NVIDIA_SMI)
        self.tensorrt("10.13.3")
        self.gpus(L4)

    def _write(self, name: str, script: str) -> None:
        (self.folder / name).write_text(script, encoding="utf-8")
        (self.folder / name).chmod(0o755)

    def tensorrt(self, version: str) -> None:
        """Be of that version."""
        major, minor, patch = map(int, version.split("."))
        number = major * 10000 + minor * 100 + patch
        self.tell(banner=f"&&&& RUNNING TensorRT.trtexec [TensorRT v{number}] [b9] # trtexec")

    def gpus(self, *lines: str, status: int = 0) -> None:
        """Have these GPUs, `NAME, COMPUTE_CAPABILITY` each."""
        (self.folder / "gpus").write_text("".join(f"{line}\n" for line in lines))
        (self.folder / "gpus_status").write_text(str(status))

    def tell(self, **what: Any) -> None:
        """Have trtexec do that when it builds."""
        assert what.keys() <= self._told.keys()
        self._told.update(what)
        (self.folder / "told.json").write_text(json.dumps(self._told))

    @property
    def calls(self) -> list[list[str]]:
        """Arguments of every call so far."""
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def builds(self) -> list[dict[str, str]]:
        """Options of every call that was to build a plan."""
        parsed = ({name: value for name, _, value in (part.partition("=") for part in call)} for call in self.calls)
        return [call for call in parsed if "--onnx" in call]


def write_tiny_detector(
    repository: Path,
    name: str,
    *,
    seed: int = 0,
    max_detections: int = 40,
    image_size: int = TINY_SIZE,
    rect: bool = False,
) -> DetectorInfo:
    """Install a detector that finds the same in every picture, as the exporter does."""
    info = DetectorInfo(
        class_names=("cat", "dog", "cow"),
        preprocessing=Preprocessing.rect(image_size) if rect else Preprocessing.letterbox(image_size),
        head="anchors_last",
        max_detections=max_detections,
    )
    settings = GraphSettings(
        preprocessing=info.preprocessing,
        pixels=ZERO_TO_ONE,
        class_count=len(info.class_names),
        candidate_count=50,
        max_detections=info.max_detections,
        iou_threshold=info.iou_threshold,
        score_floor=info.score_floor,
        nms="operator",
    )
    output = prediction("anchors_last", classes=3, candidates=50, seed=seed).astype(np.float32)
    sides: tuple[int | str, ...] = ("height", "width") if rect else (image_size, image_size)
    model = compose(tiny_model(output, picture_dims=(3, *sides)), HEADS[info.head], settings)
    install_detector(repository, name, model.SerializeToString(), info)
    return info
