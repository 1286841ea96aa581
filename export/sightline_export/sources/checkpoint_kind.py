"""What a `.pt` file is, told in a moment: nothing of it is run, and neither torch nor Ultralytics is imported."""

from __future__ import annotations

import contextlib
import enum
import pickletools
import zipfile
from pathlib import Path

from sightline.errors import CheckpointError

from .yolov5.archive import open_archive


class CheckpointKind(enum.Enum):
    """Who can read it."""

    ULTRALYTICS = "a checkpoint of the package ultralytics"
    ORIGINAL = "a checkpoint of the repositories ultralytics/yolov5 and ultralytics/yolov3"
    WEIGHTS = "weights alone"


_TASKS = {
    "SegmentationModel": "segmentation",
    "PoseModel": "pose estimation",
    "OBBModel": "oriented boxes",
    "ClassificationModel": "classification",
    "WorldModel": "detection by text",
    "YOLOEModel": "detection by text",
    "YOLOESegModel": "segmentation by text",
}
"""Models of `ultralytics.nn.tasks` that are no detectors of fixed classes."""
_TASKS_MODULE = "ultralytics.nn.tasks."
_PACKAGES = ("torch", "torchvision", "ultralytics", "numpy", "collections", "pathlib", "_codecs", "argparse")
_HARMLESS = (
    "set",
    "frozenset",
    "slice",
    "complex",
    "bytearray",
    "dict",
    "list",
    "tuple",
    "int",
    "float",
    "str",
    "bool",
)
"""Of Python's own names."""
_ELSEWHERE = "Export it to ONNX where it was trained and give that file"


def checkpoint_kind(path: Path) -> CheckpointKind:
    """Which reader a checkpoint is for.

    Raises:
        CheckpointError: it is empty, damaged, TorchScript, for another task, or names code of others.
    """
    if zipfile.is_zipfile(path):
        _check_members(path)
    names = _imports(open_archive(path).pickle)
    packages = {name.partition(".")[0] for name in names}
    if "models" in packages:
        return CheckpointKind.ORIGINAL
    foreign = [name for name in names if not _is_usual(name)]
    if foreign:
        raise CheckpointError(
            f"{path} names code that is not loaded from an untrusted file: {', '.join(foreign[:5])}; allowed are "
            f"checkpoints that Ultralytics saved after training a detector. {_ELSEWHERE}"
        )
    if "ultralytics" not in packages:
        return CheckpointKind.WEIGHTS
    tasks = [_TASKS[name] for each in names if (name := each.removeprefix(_TASKS_MODULE)) in _TASKS]
    if tasks:
        raise CheckpointError(f"{path} is a model for {tasks[0]}; only detectors can be exported")
    return CheckpointKind.ULTRALYTICS


def _check_members(path: Path) -> None:
    """Refuse TorchScript, compressed files, and weights that are not what was saved, which PyTorch does not notice."""
    try:
        with zipfile.ZipFile(path) as members:
            names = members.namelist()
            # PyTorch does not compress; what is compressed could be a thousand times the file.
            plain = all(member.compress_type == zipfile.ZIP_STORED for member in members.infolist())
            damaged = members.testzip() if plain else None
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"{path} is truncated or damaged ({error}); copy it again") from error
    if any(name.partition("/")[2].startswith("code/") for name in names):
        raise CheckpointError(
            f"{path} is TorchScript, which cannot be traced again; give the .pt that it was made of, or an .onnx"
        )
    if not plain:
        raise CheckpointError(f"{path} is compressed, as PyTorch saves nothing; save it anew with torch.save")
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged: {damaged} does not match its checksum; copy it again")


def _imports(pickled: bytes) -> list[str]:
    """What the pickle would import, as `module.name`, up to its end or the first damaged place."""
    names: dict[str, None] = {}
    # The reader that the file is for says what is wrong with a damaged one.
    with contextlib.suppress(ValueError, IndexError, OverflowError):
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "GLOBAL":
                names[str(argument).replace(" ", ".")] = None
    return list(names)


def _is_usual(name: str) -> bool:
    package, _, attribute = name.partition(".")
    if package in ("builtins", "__builtin__"):
        return attribute in _HARMLESS
    return package in _PACKAGES
