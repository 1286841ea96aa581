"""What requests hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sightline.contract import DEFAULT_SCORE_THRESHOLD, ENCODED, SCORE_THRESHOLD
from sightline_bench.material.photos import Photos


def paths_of(photos: Photos) -> list[Path]:
    """The pictures of a listing, one by one."""
    return list(map(Path, photos.listing.read_text(encoding="utf-8").splitlines()))


def padded(payloads: Sequence[bytes], *, batch: int) -> list[bytes]:
    """Of one length where several share a request, as a tensor's rows have to be; zeros at a file's end do nothing."""
    longest = max(map(len, payloads)) if batch > 1 else 0
    return [payload.ljust(longest, b"\0") for payload in payloads]


def write_input_data(file: Path, payloads: Sequence[bytes], *, batch: int) -> None:
    """A file for perf_analyzer's `--input-data`, which sends one after another, again and again."""
    threshold = {"content": [DEFAULT_SCORE_THRESHOLD], "shape": [1]}
    entries: list[dict[str, Any]] = [
        {
            ENCODED.name: {"content": {"b64": base64.b64encode(payload).decode()}, "shape": [len(payload)]},
            SCORE_THRESHOLD.name: threshold,
        }
        for payload in padded(payloads, batch=batch)
    ]
    file.write_text(json.dumps({"data": entries}), encoding="utf-8")
