"""`sightline export` as it is called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sightline.cli import cli


def test_the_command_with_a_server_of_its_own(tiny_onnx: Path, tmp_path: Path, small_sample: Path) -> None:
    arguments = ["export", str(tiny_onnx), "--repository", str(tmp_path / "repository"), "--sample", str(small_sample)]
    done = CliRunner().invoke(cli, [*arguments, "--json", str(tmp_path / "report.json")])
    assert done.exit_code == 0, done.output
    for text in ("running the source (the file's own output", "embedded Triton", "UNVERIFIED: only", "--sample FOLDER"):
        assert text in done.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["name"] == "tiny"
    assert report["verification"]["outcome"] == "inconclusive"
    assert report["verification"]["images"] == 3
    assert report["verified_with"]["engine"] in ("openvino", "onnxruntime")


def test_the_command_without_a_gate(tiny_onnx: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["export", str(tiny_onnx), "--repository", str(tmp_path / "new"), "--no-gate"])
    assert done.exit_code == 0, done.output
    assert "UNVERIFIED: nobody compared it with its source" in done.output


@pytest.mark.parametrize(
    "arguments",
    [["--min-match", "2"], ["--sample", "/nowhere"], ["--iou", "7"], ["--json", "/nowhere/a.json"]],
)
def test_bad_options_are_refused_before_anything_is_read(arguments: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["export", "yolo11n.yaml", "--repository", str(tmp_path), *arguments])
    assert done.exit_code != 0
    assert "reading" not in done.output


@pytest.mark.parametrize(
    ("source", "arguments", "reason"),
    [
        ("folder/missing.pt", [], "does not exist; give the path of a checkpoint"),
        ("folder.pt", [], "is not a file; give the path of one checkpoint"),
        ("missing.onnx", [], "does not exist or is not a file; give the path of one ONNX file"),
        ("yolov8n.engine", [], "a TensorRT engine, which runs on one version of TensorRT"),
        ("model.pth", ["--family", "yolox"], "--family yolox is for .onnx files"),
    ],
)
def test_what_its_name_tells_is_refused_before_anything_heavy_is_imported(
    source: str, arguments: list[str], reason: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.pt").mkdir()
    script = "import atexit, sys, sightline.cli; atexit.register(lambda: print(*sys.modules)); sightline.cli.main()"
    command = [sys.executable, "-c", script, "export", source, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert reason in done.stderr
    assert not {"torch", "onnx", "onnxscript", "onnxruntime"} & set(done.stdout.split())
