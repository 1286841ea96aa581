"""Why a checkpoint was refused, in words that help."""

from __future__ import annotations

import zipfile
from pathlib import Path

from sightline.errors import CheckpointError

_ALLOWED = "a .pt file that Ultralytics (v3u, v5u, v8, v9, v10, 11, 12, 26) saved after training a detector"


def explain_refusal(path: Path, error: Exception) -> CheckpointError:
    """The error to raise for a checkpoint that could not be read because of `error`."""
    if path.stat().st_size == 0:
        return CheckpointError(f"{path} is empty; allowed is {_ALLOWED}")
    if not zipfile.is_zipfile(path):
        return CheckpointError(
            f"{path} is truncated, or not a checkpoint of PyTorch 1.6 or newer; allowed is {_ALLOWED}. Copy it again, "
            f"or save it anew ({_first_line(error)})"
        )
    foreign = _foreign_globals(path)
    if any(name.startswith("models.") for name in foreign):
        return CheckpointError(
            f"{path} is in the original YOLOv5 format (it names {foreign[0]}), which is not read yet; allowed is "
            f"{_ALLOWED}. Export it to ONNX with the YOLOv5 repository and give that file"
        )
    if foreign:
        return CheckpointError(
            f"{path} names code that is not loaded from an untrusted file: {', '.join(foreign[:5])}; allowed is "
            f"{_ALLOWED}. Export it to ONNX where it was trained and give that file"
        )
    return CheckpointError(f"{path} cannot be read as a checkpoint; allowed is {_ALLOWED} ({_first_line(error)})")


def _foreign_globals(path: Path) -> list[str]:
    """Names in the pickle that belong neither to torch nor to Ultralytics."""
    import torch

    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (ValueError, RuntimeError, EOFError, OSError):
        return []
    known = ("torch.", "ultralytics.", "numpy.", "pathlib.", "collections.", "builtins.")
    dangerous = ("builtins.eval", "builtins.exec", "builtins.getattr")
    return sorted(name for name in named if not name.startswith(known) or name in dangerous)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
