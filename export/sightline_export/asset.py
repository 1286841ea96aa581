"""Official checkpoints that are asked for by name and are not there yet."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sightline.errors import CheckpointError

_RELEASES = (
    (
        re.compile(
            r"(yolo(v3(-tiny|-spp)?u|v5[nsmlx]6?u|v8[nsmlx]|v9[tsmce]|v10[nsmblx]|(11|12|26)[nsmlx])|rtdetr-[lx])\.pt"
        ),
        "https://github.com/ultralytics/assets/releases/download/v8.4.0/",
    ),
    # Without the u, in the format of their own repositories.
    (re.compile(r"yolov5[nsmlx]6?\.pt"), "https://github.com/ultralytics/yolov5/releases/download/v7.0/"),
    (re.compile(r"yolov3(-tiny|-spp)?\.pt"), "https://github.com/ultralytics/yolov3/releases/download/v9.6.0/"),
)
"""Names of official checkpoints, and where they are published."""
_TIMEOUT_SECONDS = 20.0


def check_available(source: Path) -> None:
    """Refuse what is no file and no official checkpoint's bare name; nothing is downloaded yet.

    Raises:
        CheckpointError: it is not there, and cannot be had.
    """
    if source.is_file():
        return
    if source.exists():
        raise CheckpointError(f"{source} is not a file; give the path of one checkpoint")
    if _published(source) is None:
        raise CheckpointError(
            f"{source} does not exist; give the path of a checkpoint, or the bare name of an official one, such as "
            "yolov8n.pt, which is then downloaded"
        )


def existing_checkpoint(source: Path) -> Path:
    """`source` itself if it is a file; an official checkpoint's bare name is downloaded into the working directory.

    Raises:
        CheckpointError: it is not there, and cannot be had.
    """
    check_available(source)
    url = _published(source)
    if not source.is_file() and url is not None:
        download(url, source)
    return source


def _published(source: Path) -> str | None:
    """Where an official checkpoint of that bare name is published."""
    if source.parent != Path():
        return None
    folder = next((url for names, url in _RELEASES if names.fullmatch(source.name)), None)
    return None if folder is None else folder + source.name


def download(url: str, target: Path) -> None:
    """Whole or not at all; a connection that says nothing for `_TIMEOUT_SECONDS` is given up.

    Raises:
        CheckpointError: it cannot be had, or ended early.
    """
    import http.client
    import urllib.request

    # Another export may be at the same file, in another container of the same process number.
    part = target.with_name(f"{target.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, part.open("wb") as file:
            while block := response.read(1 << 20):
                file.write(block)
            _check_whole(file.tell(), response.headers["Content-Length"])
        part.replace(target)
    except (OSError, http.client.HTTPException) as error:
        raise CheckpointError(
            f"{target} does not exist here and could not be downloaded from {url} ({error}); try again, or, on a "
            "machine without internet, copy the file here and give its path"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _check_whole(received_bytes: int, stated: str | None) -> None:
    """Reading in pieces takes a connection that breaks for the end.

    Raises:
        OSError: there are fewer bytes than the server stated.
    """
    if stated is not None and str(received_bytes) != stated:
        raise OSError(f"the connection ended after {received_bytes} of {stated} bytes")
