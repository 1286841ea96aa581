"""The tested range of Ultralytics: stated once, and blamed where another version breaks something."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import CHECKOUT

from sightline.errors import CheckpointError, ExportError, UnsupportedVersionError
from sightline_export.options import ExportOptions
from sightline_export.sources import load
from sightline_export.sources.quiet import import_ultralytics
from sightline_export.sources.versions import TESTED, explained, explaining, installed_version, is_tested


def test_the_extra_asks_for_the_tested_versions() -> None:
    (asked,) = re.findall(r'"(ultralytics[<>=][^"]*)"', (CHECKOUT / "pyproject.toml").read_text())
    assert asked == TESTED


def test_this_version_is_tested() -> None:
    installed = installed_version()
    assert installed is not None
    assert is_tested(installed)


@pytest.mark.parametrize(
    ("version", "tested"),
    [
        ("8.4.190", True),
        ("8.4.191", True),
        ("8.4.1000", True),
        ("8.4.190.post1", True),
        ("8.4.189", False),
        ("8.3.999", False),
        ("8.5.0", False),
        ("8.5.0rc1", False),
        ("8.10", False),
        ("9.0.0", False),
    ],
)
def test_versions_in_order(version: str, tested: bool) -> None:
    assert is_tested(version) is tested


def test_a_tested_version_is_not_blamed() -> None:
    error = CheckpointError("it is damaged")
    assert explained(error) is error
    said = r"could not trace x\.pt \(KeyError: 'stride'\).*Export it to ONNX"
    with pytest.raises(ExportError, match=said) as caught, explaining("trace x.pt"):
        raise KeyError("stride")
    assert not isinstance(caught.value, UnsupportedVersionError)
    with pytest.raises(CheckpointError, match="it is damaged"), explaining("trace x.pt"):
        raise error


COMMAND = "from sightline.cli import main; main()"


def claim_version(folder: Path, version: str) -> None:
    """Where `folder` comes first on Python's path, this version of Ultralytics seems to be installed."""
    about = folder / f"ultralytics-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ultralytics\nVersion: {version}\n")


def test_a_newer_release_that_cannot_be_imported(tmp_path: Path, shared_data: Path) -> None:
    """In a process of its own, with a package of that name that lacks what the export needs."""
    claim_version(tmp_path, "9.1.0")
    (tmp_path / "ultralytics").mkdir()
    (tmp_path / "ultralytics" / "__init__.py").write_text("__version__ = '9.1.0'\n")
    weights, models = shared_data / "weights" / "yolov8n.pt", tmp_path / "models"
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "export", str(weights), "--repository", str(models)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    message = " ".join(done.stderr.split())
    assert done.returncode == 1, message
    assert "No module named 'ultralytics.nn'" in message
    assert "This is ultralytics 9.1.0; the export was tested with" in message
    assert f'pip install "{TESTED}"' in message
    assert not models.exists()


@pytest.mark.parametrize(
    ("version", "error", "said"),
    [
        ("9.1.0", UnsupportedVersionError, "This is ultralytics 9.1.0; the export was tested with"),
        ("8.4.999", ExportError, "ultralytics 8.4.999 could not export"),
    ],
)
def test_a_release_that_breaks(
    version: str,
    error: type[ExportError],
    said: str,
    *,
    tmp_path: Path,
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A method of Ultralytics that another release might have changed, under that release's number."""
    claim_version(tmp_path, version)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delattr(import_ultralytics().nn.tasks.BaseModel, "fuse")
    path = shared_data / "weights" / "yolov8n.pt"
    with pytest.raises(error, match=r"no attribute 'fuse'.*Export it to ONNX") as caught:
        load(path, ExportOptions(image_size=320))
    assert said in str(caught.value)


def test_a_newer_release_that_does_not_break(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_version(tmp_path, "8.5.0")
    monkeypatch.syspath_prepend(tmp_path)
    assert not is_tested(installed_version() or "")
    assert len(load(shared_data / "weights" / "yolov8n.pt", ExportOptions(image_size=320)).class_names) == 80
