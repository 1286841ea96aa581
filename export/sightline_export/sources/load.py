"""Picks the reader of a file by its name, and where that does not tell, by what stands in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sightline.errors import CheckpointError, InvalidOptionError
from sightline_export.families import FAMILIES, ONNX_SUFFIX
from sightline_export.options import ExportOptions
from sightline_export.raw import RawNetwork

from .asset import existing_checkpoint
from .checkpoint_kind import CheckpointKind, checkpoint_kind
from .padding import with_kept_padding
from .yolov5 import ORIGINAL_PREFIX

CHECKPOINT_SUFFIXES = (".pt", ".pth")
ARCHITECTURE_SUFFIXES = (".yaml", ".yml")
RANDOM_SUFFIXES = (".random",)
ONNX_SUFFIXES = (ONNX_SUFFIX,)
_FAMILIES_OF = {CheckpointKind.ORIGINAL: ("yolov5",)}
"""What may be asked for beside a checkpoint that needs no asking."""
_GIVE_ORIGIN = "give the .pt or the .onnx that it was made of"
_OTHER_FORMATS = {
    ".engine": f"a TensorRT engine, which runs on one version of TensorRT and one sort of GPU only; {_GIVE_ORIGIN}",
    ".plan": f"a TensorRT engine, which runs on one version of TensorRT and one sort of GPU only; {_GIVE_ORIGIN}",
    ".trt": f"a TensorRT engine, which runs on one version of TensorRT and one sort of GPU only; {_GIVE_ORIGIN}",
    ".tflite": f"a TensorFlow Lite model; {_GIVE_ORIGIN}",
    ".pb": f"a TensorFlow graph; {_GIVE_ORIGIN}",
    ".h5": f"a Keras model; {_GIVE_ORIGIN}",
    ".keras": f"a Keras model; {_GIVE_ORIGIN}",
    ".torchscript": f"TorchScript; {_GIVE_ORIGIN}",
    ".mlmodel": f"a Core ML model; {_GIVE_ORIGIN}",
    ".mlpackage": f"a Core ML model; {_GIVE_ORIGIN}",
    ".xml": f"an OpenVINO model; {_GIVE_ORIGIN}",
    ".bin": f"weights of an OpenVINO or ncnn model; {_GIVE_ORIGIN}",
    ".param": f"an ncnn model; {_GIVE_ORIGIN}",
    ".safetensors": "weights alone; give the .pt that training saved with its model in it, or an .onnx",
    ".weights": "weights of Darknet; convert them to ONNX and give that file",
    ".cfg": "an architecture of Darknet; convert it with its weights to ONNX and give that file",
}


def load(source: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of a checkpoint, an architecture or an ONNX file.

    Args:
        source: a checkpoint of Ultralytics or of the original YOLOv5 (`.pt`), weights of torchvision or Detecto
            (`.pth`, `.pt`), an `.onnx`; or, with random weights, a `.yaml` that names or holds an architecture of
            Ultralytics, or one of torchvision's detectors as `fasterrcnn_resnet50_fpn.random`, or an original YOLOv5
            or YOLOv3 as `original_yolov5s.random`.
        options: of which `image_size`, `classes`, `family`, `nms`, `max_detections` and `seed` matter here.

    Raises:
        CheckpointError: the file cannot be read, or is no detector.
        UnknownHeadError: its output has no known layout.
        UnsupportedVersionError: the package that reads such files is not of a tested version, and failed.
        InvalidOptionError: an option contradicts the file.
        MissingDependencyError: a package that reads such files is not installed.
    """
    raw = _load(source, options)
    return replace(raw, model=with_kept_padding(raw.model))


def _load(source: Path, options: ExportOptions) -> RawNetwork:
    suffix = source.suffix.lower()
    if suffix not in (*CHECKPOINT_SUFFIXES, *ARCHITECTURE_SUFFIXES, *RANDOM_SUFFIXES, *ONNX_SUFFIXES):
        raise _unreadable(source, suffix)
    _check_family(source, suffix, options)
    if suffix in ONNX_SUFFIXES:
        from .onnx_file import load_onnx

        return load_onnx(source, options)
    if suffix in ARCHITECTURE_SUFFIXES:
        from .ultralytics import build_architecture

        return build_architecture(source, options)
    if suffix in RANDOM_SUFFIXES:
        return _build_random(source, options)
    return _load_checkpoint(existing_checkpoint(source), options)


def _build_random(source: Path, options: ExportOptions) -> RawNetwork:
    if source.stem.startswith(ORIGINAL_PREFIX):
        from .yolov5 import build_original

        return build_original(source, options)
    from .torchvision import build_random

    return build_random(source, options)


def _load_checkpoint(path: Path, options: ExportOptions) -> RawNetwork:
    kind = checkpoint_kind(path)
    if kind is CheckpointKind.WEIGHTS:
        from .torchvision import load_state_dict

        return load_state_dict(path, options)
    if options.family not in (None, *_FAMILIES_OF.get(kind, ())):
        raise InvalidOptionError(f"{path} is {kind.value}, which tells its family itself; leave out --family")
    if kind is CheckpointKind.ORIGINAL:
        from .yolov5 import load_original

        return load_original(path, options)
    if path.suffix.lower() != ".pt":
        raise CheckpointError(f"{path} is {kind.value}, which it reads under names that end in .pt only; rename it")
    from .ultralytics import load_checkpoint

    return load_checkpoint(path, options)


def _check_family(source: Path, suffix: str, options: ExportOptions) -> None:
    """A family that was asked for must be one that such files hold."""
    if options.family is None or suffix in FAMILIES[options.family].suffixes:
        return
    fitting = [family.name for family in FAMILIES.values() if suffix in family.suffixes]
    advice = f"choose one of {', '.join(fitting)}, or leave out --family" if fitting else "leave out --family"
    raise InvalidOptionError(
        f"--family {options.family} is for {' and '.join(FAMILIES[options.family].suffixes)} files, and {source} is "
        f"none; {advice}"
    )


def _unreadable(source: Path, suffix: str) -> CheckpointError:
    if suffix in _OTHER_FORMATS:
        return CheckpointError(f"{source} is, by its name, {_OTHER_FORMATS[suffix]}")
    allowed = ", ".join((*CHECKPOINT_SUFFIXES, *ARCHITECTURE_SUFFIXES, *RANDOM_SUFFIXES, *ONNX_SUFFIXES))
    return CheckpointError(f"{source} is none of the files that can be exported; their names end in {allowed}")
