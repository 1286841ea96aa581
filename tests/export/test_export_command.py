"""`sightline export` as it is called."""

from __future__ import annotations

import json
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
    done = CliRunner().invoke(cli, ["export", str(tmp_path / "missing.pt"), *arguments])
    assert done.exit_code != 0
    assert "reading" not in done.output
