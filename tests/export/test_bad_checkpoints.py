"""Files that cannot become a detector: each is refused for its own reason, without a line of it being run."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision

from sightline.errors import CheckpointError, InvalidOptionError, UnsupportedVersionError
from sightline_export.options import ExportOptions
from sightline_export.sources import load
from sightline_export.sources.checkpoint_kind import CheckpointKind, checkpoint_kind
from sightline_export.sources.quiet import import_ultralytics


def refuse(path: Path, match: str, options: ExportOptions | None = None) -> None:
    with pytest.raises(CheckpointError, match=match) as caught:
        load(path, options or ExportOptions())
    assert path.name in str(caught.value)


class _RunsCode:
    """Pickles as a call of `os.system`."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


class _Evaluates:
    """Pickles as a call of `eval`."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return eval, (f"open({str(self.marker)!r}, 'w')",)


@pytest.mark.parametrize(("payload", "named"), [(_RunsCode, "system"), (_Evaluates, "eval")])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code(
    payload: type[_RunsCode | _Evaluates], named: str, zipped: bool, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "evil.pt"
    torch.save({"model": payload(marker)}, path, _use_new_zipfile_serialization=zipped)
    refuse(path, rf"names code that is not loaded from an untrusted file: \w+\.{named}; allowed")
    path.write_bytes(pickle.dumps({"model": payload(marker)}))
    refuse(path, "not a checkpoint")
    assert not marker.exists()


def test_code_among_the_layers_of_a_detector(tmp_path: Path) -> None:
    """The names look right but for one."""
    marker = tmp_path / "ran"
    model = import_ultralytics().nn.tasks.DetectionModel("yolov8n.yaml", verbose=False)
    model.extra = _RunsCode(marker)
    path = tmp_path / "infected.pt"
    torch.save({"model": model}, path)
    refuse(path, "names code that is not loaded")
    assert not marker.exists()


def test_what_hides_its_names_is_left_to_the_restricted_reader(tmp_path: Path) -> None:
    """Protocol 4 names no globals in its instructions."""
    marker = tmp_path / "ran"
    path = tmp_path / "hidden.pt"
    torch.save({"model": _RunsCode(marker)}, path, pickle_protocol=4)
    refuse(path, "code is not loaded from an untrusted file")
    assert not marker.exists()


@pytest.fixture
def torch_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ultralytics takes its fallback for such a torch: it reads without restrictions, whatever it was asked for."""
    monkeypatch.setattr(import_ultralytics().nn.tasks._SafeLoad, "SUPPORTED", False)


UNRESTRICTED = r'with torch .* cannot keep a file from running code.*pip install "torch>=2\.6" "ultralytics>='


@pytest.mark.usefixtures("torch_too_old")
def test_nothing_is_read_where_it_could_run_code(tmp_path: Path) -> None:
    """Names are told from a checkpoint of Ultralytics, and behind them a call hides in instructions of protocol 4."""
    marker = tmp_path / "ran"
    path = tmp_path / "evil.pt"
    model = import_ultralytics().nn.tasks.DetectionModel("yolov8n.yaml", verbose=False)
    model.extra = _RunsCode(marker)
    torch.save({"model": model}, path)
    named, stacked = b"cposix\nsystem\n", b"\x8c\x05posix\x8c\x06system\x93"
    with zipfile.ZipFile(path) as members:
        content = {name: members.read(name) for name in members.namelist()}
    pickled = next(name for name in content if name.endswith("/data.pkl"))
    assert named in content[pickled]
    content[pickled] = content[pickled].replace(named, stacked)
    with zipfile.ZipFile(path, "w") as members:
        for name, data in content.items():
            members.writestr(name, data)
    with pytest.raises(UnsupportedVersionError, match=UNRESTRICTED):
        load(path, ExportOptions())
    assert not marker.exists()


@pytest.mark.usefixtures("torch_too_old")
def test_no_architecture_is_built_where_it_could_run_code(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "evil.yaml"
    path.write_text(
        f"""
nc: 3
activation: __import__('pathlib').Path({str(marker)!r}).touch() or torch.nn.SiLU()
backbone: [[-1, 1, Conv, [16, 3, 2]]]
head: [[[0], 1, Detect, [nc]]]
"""
    )
    with pytest.raises(UnsupportedVersionError, match=UNRESTRICTED):
        load(path, ExportOptions())
    assert not marker.exists()


def _hook(layer: torch.nn.Module) -> None:
    layer.register_forward_hook(torch.nn.Identity())


def _hook_before(layer: torch.nn.Module) -> None:
    layer.register_forward_pre_hook(torch.nn.Identity())


def _shadow(layer: torch.nn.Module) -> None:
    layer.__dict__["forward"] = torch.nn.Identity


def _shadow_conversion(layer: torch.nn.Module) -> None:
    layer.__dict__["float"] = torch.nn.Identity


def _hide(layer: torch.nn.Module) -> None:
    layer.__dict__["act"] = torch.nn.Identity()


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (_hook, "'_forward_hooks' of {layer} holds hooks"),
        (_hook_before, "'_forward_pre_hooks' of {layer} holds hooks"),
        (_shadow, "'forward' of {layer} stands in for what its class defines"),
        (_shadow_conversion, "'float' of {layer} stands in for what its class defines"),
        (_hide, "'act' of {layer} is a layer that is not registered"),
    ],
)
def test_layers_that_do_not_do_what_their_class_says(
    alter: Callable[[torch.nn.Module], None], said: str, tmp_path: Path
) -> None:
    """All of known classes, so that the file can be read."""
    path = tmp_path / "altered.pt"
    model = import_ultralytics().nn.tasks.DetectionModel("yolov8n.yaml", verbose=False)
    alter(model.model[0])
    torch.save({"model": model}, path)
    refuse(path, re.escape(said.format(layer="model.model.0 (Conv)")))


@pytest.mark.parametrize(
    ("architecture", "kind", "task"),
    [
        ("yolov8n-seg.yaml", "SegmentationModel", "segmentation"),
        ("yolov8n-pose.yaml", "PoseModel", "pose estimation"),
        ("yolov8n-obb.yaml", "OBBModel", "oriented boxes"),
        ("yolov8n-cls.yaml", "ClassificationModel", "classification"),
    ],
)
def test_other_tasks(architecture: str, kind: str, task: str, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    model = getattr(import_ultralytics().nn.tasks, kind)(architecture, verbose=False)
    torch.save({"model": model}, path)
    refuse(path, f"other.pt is a model for {task}; only detectors")
    with pytest.raises(CheckpointError, match="only detectors can be exported"):
        load(Path(architecture), ExportOptions())


def test_a_task_is_told_by_the_last_layer_too(tmp_path: Path) -> None:
    """A whole model that was pickled as a plain Sequential's owner."""
    model = import_ultralytics().nn.tasks.DetectionModel("yolov8n.yaml", verbose=False)
    model.model[-1] = torch.nn.Identity()
    path = tmp_path / "cut.pt"
    torch.save({"model": model}, path)
    refuse(path, "is a model for Identity; only detectors whose last layer is Detect")


def test_damaged_files(shared_data: Path, tmp_path: Path) -> None:
    whole = (shared_data / "weights" / "yolov8n.pt").read_bytes()
    cases = {
        "empty.pt": (b"", "is empty"),
        "text.pt": (b"not a checkpoint at all", "truncated, or not a checkpoint"),
        "photo.pt": ((shared_data / "images" / "bus.jpg").read_bytes(), "truncated, or not a checkpoint"),
        "half.pt": (whole[: len(whole) // 2], "truncated"),
        "first.pt": (whole[:3], "truncated"),
    }
    for name, (content, match) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        refuse(path, match)


def test_a_checkpoint_with_damaged_weights(shared_data: Path, tmp_path: Path) -> None:
    content = bytearray((shared_data / "weights" / "yolov8n.pt").read_bytes())
    path = tmp_path / "bits.pt"
    with zipfile.ZipFile(shared_data / "weights" / "yolov8n.pt") as members:
        largest = max(members.infolist(), key=lambda member: member.file_size)
    content[largest.header_offset + 200 : largest.header_offset + 4000] = bytes(3800)
    path.write_bytes(content)
    refuse(path, "is damaged: .* does not match its checksum; copy it again")


def test_a_zip_that_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "photos.pt"
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("photo.txt", "hello")
    refuse(path, "zip file without one data.pkl")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_compressed_file_is_not_unpacked(compression: int, tmp_path: Path) -> None:
    """What it says of its size need not be true."""
    path = tmp_path / "small.pt"
    with zipfile.ZipFile(path, "w", compression) as members:
        members.writestr("small/data.pkl", b"\x80\x02}.")
    refuse(path, "is compressed, as PyTorch saves nothing; save it anew")


def test_a_state_dict_of_who_knows_what(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(OrderedDict(weight=torch.zeros(3)), path)
    refuse(path, "state_dict of no known detector")


def test_a_classifier_of_torchvision(tmp_path: Path) -> None:
    path = tmp_path / "classifier.pth"
    torch.save(torchvision.models.mobilenet_v3_small(weights=None).state_dict(), path)
    refuse(path, "is a state_dict of a classifier")


def test_torchscript(tmp_path: Path) -> None:
    path = tmp_path / "traced.pt"
    traced: Any = torch.jit.trace
    torch.jit.save(traced(torch.nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 8, 8)), path)
    refuse(path, r"is TorchScript.*give the \.pt that it was made of, or an \.onnx")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("model.engine", "TensorRT engine, which runs on one version"),
        ("model.tflite", "TensorFlow Lite model; give"),
        ("model.h5", "Keras model; give"),
        ("model.torchscript", r"TorchScript; give the \.pt or the \.onnx"),
        ("model.mlpackage", "Core ML"),
        ("model.xml", "OpenVINO"),
        ("model.safetensors", "weights alone"),
        ("yolov4.weights", "Darknet"),
        ("model", r"their names end in \.pt, \.pth, \.yaml, \.yml, \.random, \.onnx"),
        ("model.ckpt", "none of the files that can be exported"),
    ],
)
def test_other_formats(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"anything")
    refuse(tmp_path / name, what)


def test_a_family_for_other_files(shared_data: Path, tmp_path: Path) -> None:
    weights = shared_data / "weights" / "yolov8n.pt"
    with pytest.raises(InvalidOptionError, match=r"--family yolox is for \.onnx files"):
        load(weights, ExportOptions(family="yolox"))
    with pytest.raises(InvalidOptionError, match="tells its family itself; leave out --family"):
        load(weights, ExportOptions(family="yolov5"))
    with pytest.raises(InvalidOptionError, match="tells its family itself; leave out --family"):
        load(shared_data / "weights" / "yolov5n.pt", ExportOptions(family="detecto"))
    renamed = tmp_path / "yolov8n.pth"
    renamed.write_bytes(weights.read_bytes())
    refuse(renamed, r"end in \.pt only; rename it")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere.pt", "does not exist; give the path")
    (tmp_path / "folder.pt").mkdir()
    refuse(tmp_path / "folder.pt", "is not a file")
    refuse(tmp_path / "nowhere.yaml", "no architecture")


@pytest.mark.parametrize("content", ["", "just text", "nc: 80\n", "backbone: []\nhead: []\n", "{"])
def test_yaml_files_that_are_no_architectures(content: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(content)
    refuse(path, "is no architecture that Ultralytics can build")


@pytest.mark.parametrize(
    ("activation", "layer"),
    [
        ("__import__('pathlib').Path({marker!r}).touch() or torch.nn.SiLU()", "Conv, [16, 3, 2]"),
        ("nn.SiLU()", "check_requirements, [16]"),
    ],
    ids=["activation", "layer"],
)
def test_a_yaml_that_runs_code(activation: str, layer: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "evil.yaml"
    path.write_text(
        f"""
nc: 3
activation: {activation.format(marker=str(marker))}
backbone: [[-1, 1, {layer}]]
head: [[[0], 1, Detect, [nc]]]
"""
    )
    refuse(path, "blocked during restricted model load|is not a permitted model layer")
    assert not marker.exists()


def test_what_a_file_says_does_not_command_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "loud.pt"
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("loud/data.pkl", b"\x80\x02c\x1b[2Jos\nsystem\n.")
    command = "from sightline.cli import main; main()"
    arguments = ["export", str(path), "--no-gate", "--repository", str(tmp_path / "repository")]
    done = subprocess.run([sys.executable, "-c", command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert r"\x1b[2Jos.system" in done.stderr
    assert "\x1b" not in done.stderr


def test_the_kinds(shared_data: Path) -> None:
    assert checkpoint_kind(shared_data / "weights" / "yolov8n.pt") is CheckpointKind.ULTRALYTICS
    assert checkpoint_kind(shared_data / "weights" / "yolov5n.pt") is CheckpointKind.ORIGINAL


def test_a_refusal_needs_no_torch(tmp_path: Path) -> None:
    """Which takes seconds to import; a wrong file is told at once."""
    (tmp_path / "text.pt").write_bytes(b"not a checkpoint")
    (tmp_path / "model.engine").write_bytes(b"plan")
    torch.save({"model": _RunsCode(tmp_path / "ran")}, tmp_path / "evil.pt")
    script = """
import sys
from pathlib import Path
from sightline.errors import CheckpointError
from sightline_export.options import ExportOptions
from sightline_export.sources import load
for name in sys.argv[1:]:
    try:
        load(Path(name), ExportOptions())
    except CheckpointError as error:
        print(error)
print(sorted({"torch", "ultralytics", "torchvision"} & set(sys.modules)))
"""
    files = [str(tmp_path / name) for name in ("text.pt", "model.engine", "evil.pt", "nowhere.pt")]
    done = subprocess.run([sys.executable, "-c", script, *files], capture_output=True, text=True, check=True)
    *messages, modules = done.stdout.splitlines()
    assert len(messages) == len(files)
    assert modules == "[]"
