"""What can be refused of a source by its name alone, before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path

from sightline.errors import CheckpointError, InvalidOptionError

from .asset import check_available
from .families import FAMILIES, ONNX_SUFFIX

CHECKPOINT_SUFFIXES = (".pt", ".pth")
ARCHITECTURE_SUFFIXES = (".yaml", ".yml")
RANDOM_SUFFIXES = (".random",)
ONNX_SUFFIXES = (ONNX_SUFFIX,)
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


def check_source(source: Path, *, family: str | None) -> None:
    """Refuse what is no file of a detector, or is not there.

    Args:
        source: a file, an architecture's name, or an official checkpoint's name, which may not be there yet.
        family: the family that was asked for.

    Raises:
        CheckpointError: no such files can be read, or it does not exist.
        InvalidOptionError: such files hold no network of that family.
    """
    suffix = source.suffix.lower()
    if suffix not in (*CHECKPOINT_SUFFIXES, *ARCHITECTURE_SUFFIXES, *RANDOM_SUFFIXES, *ONNX_SUFFIXES):
        raise _unreadable(source, suffix)
    if family is not None:
        _check_family(source, suffix, family)
    if suffix in ONNX_SUFFIXES and not source.is_file():
        raise CheckpointError(f"{source} does not exist or is not a file; give the path of one ONNX file")
    if suffix in CHECKPOINT_SUFFIXES:
        check_available(source)


def _check_family(source: Path, suffix: str, family: str) -> None:
    """A family that was asked for must be one that such files hold."""
    if suffix in FAMILIES[family].suffixes:
        return
    fitting = [family.name for family in FAMILIES.values() if suffix in family.suffixes]
    advice = f"choose one of {', '.join(fitting)}, or leave out --family" if fitting else "leave out --family"
    raise InvalidOptionError(
        f"--family {family} is for {' and '.join(FAMILIES[family].suffixes)} files, and {source} is none; {advice}"
    )


def _unreadable(source: Path, suffix: str) -> CheckpointError:
    if suffix in _OTHER_FORMATS:
        return CheckpointError(f"{source} is, by its name, {_OTHER_FORMATS[suffix]}")
    allowed = ", ".join((*CHECKPOINT_SUFFIXES, *ARCHITECTURE_SUFFIXES, *RANDOM_SUFFIXES, *ONNX_SUFFIXES))
    return CheckpointError(f"{source} is none of the files that can be exported; their names end in {allowed}")
