"""Official checkpoints that are asked for by name and are not there yet."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path

from sightline.errors import CheckpointError

_ASSETS = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
_OFFICIAL = re.compile(r"yolo(v3(-tiny|-spp)?u|v5[nsmlx]6?u|v8[nsmlx]|v9[tsmce]|v10[nsmblx]|(11|12|26)[nsmlx])\.pt")
_TIMEOUT_SECONDS = 20.0


def existing_checkpoint(source: Path) -> Path:
    """`source` itself if it is a file; an official checkpoint's bare name is downloaded into the working directory.

    Raises:
        CheckpointError: it is not there, and cannot be had.
    """
    if source.is_file():
        return source
    if source.exists():
        raise CheckpointError(f"{source} is not a file; give the path of one checkpoint")
    if source.parent != Path() or not _OFFICIAL.fullmatch(source.name):
        raise CheckpointError(
            f"{source} does not exist; give the path of a checkpoint, or the bare name of an official one, such as "
            "yolov8n.pt, which is then downloaded"
        )
    _download(_ASSETS + source.name, source)
    return source


def _download(url: str, target: Path) -> None:
    """Whole or not at all; a connection that says nothing for `_TIMEOUT_SECONDS` is given up."""
    part = target.with_name(target.name + ".part")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, part.open("wb") as file:
            while block := response.read(1 << 20):
                file.write(block)
        part.rename(target)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        raise CheckpointError(
            f"{target} does not exist here and could not be downloaded from {url} ({error}); on a machine without "
            "internet, copy the file here and give its path"
        ) from error
    finally:
        part.unlink(missing_ok=True)
