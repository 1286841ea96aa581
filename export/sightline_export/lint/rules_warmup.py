"""Rules about `model_warmup` and the files that it reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.errors import ImageError, ImageTooLargeError
from sightline.headers import check_image
from sightline_export.lint.findings import Problem, Rule, error, warning
from sightline_export.lint.folders import ModelFolder, Repository
from sightline_export.lint.rules_config import SERVED_BACKENDS
from sightline_export.lint.rules_contract import read_max_pixels
from sightline_export.lint.tensors import signature

_ITEM_BYTES = {"BOOL": 1, "BF16": 2, "FP16": 2, "FP32": 4, "FP64": 8} | {
    f"{sign}INT{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64)
}

Sample = tuple[Any, str, Any]
"""A warm-up request, an input's name, and what it is filled with."""


def _samples(model: ModelFolder) -> Iterator[Sample]:
    if model.is_ensemble:  # `ensemble-settings` refuses it altogether
        return
    for warmup in model.config.model_warmup:
        for name, filled in sorted(warmup.inputs.items()):
            yield warmup, name, filled


def _file(model: ModelFolder, filled: Any) -> Path:
    return model.path / contract.WARMUP_FOLDER / str(filled.input_data_file)


def _line(model: ModelFolder, sample: Sample, *needles: str) -> int | None:
    warmup, name, _ = sample
    return model.line_of("model_warmup", f'"{warmup.name}"', f'"{name}"', *needles)


def _warmup_absent(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if model.backend in SERVED_BACKENDS and not model.config.model_warmup:
        message = "there is no model_warmup, so the first requests pay for what is set up lazily"
        yield warning(model.config_path, message, "export the model again, which adds it")


def _warmup_inputs(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    wanted = {tensor.name: signature(tensor) for tensor in model.config.input}
    for sample in _samples(model):
        warmup, name, filled = sample
        if name not in wanted:
            message = f"warm-up {warmup.name!r} fills {name!r}, which is not an input"
            yield warning(model.config_path, message, f"inputs are {', '.join(wanted)}", _line(model, sample))
        elif not wanted[name].fits(signature(filled)):
            message = f"warm-up {warmup.name!r} fills {name!r} with {signature(filled)}; the input is {wanted[name]}"
            yield error(model.config_path, message, "state the input's type and shape", _line(model, sample))
    for warmup in () if model.is_ensemble else model.config.model_warmup:
        absent = [
            tensor.name for tensor in model.config.input if tensor.name not in warmup.inputs and not tensor.optional
        ]
        if absent:
            message = f"warm-up {warmup.name!r} does not fill {', '.join(absent)}; the model will not load"
            yield error(
                model.config_path, message, "fill every input", model.line_of("model_warmup", f'"{warmup.name}"')
            )


def _warmup_batch(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    most = max(1, model.config.max_batch_size)
    for warmup in () if model.is_ensemble else model.config.model_warmup:
        line = model.line_of("model_warmup", f'"{warmup.name}"', "batch_size")
        if warmup.batch_size > most:
            message = f"warm-up {warmup.name!r} has a batch of {warmup.batch_size}; max_batch_size is {most}"
            yield error(model.config_path, message, f"write batch_size: {most} at most", line)
        elif model.backend == contract.DALI_BACKEND and warmup.batch_size > 1:
            message = (
                f"warm-up {warmup.name!r} has a batch of {warmup.batch_size}; without an NVIDIA driver the native DALI "
                "backend fails it, and the model with it"
            )
            yield warning(model.config_path, message, "warm it with batch_size: 1", line)


def _warmup_file(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    seen = set()
    for sample in _samples(model):
        filled = sample[2]
        path = _file(model, filled)
        if filled.input_data_file and path not in seen and not path.is_file():
            seen.add(path)
            message = (
                f"warm-up file {contract.WARMUP_FOLDER}/{filled.input_data_file} is missing; the model will not load"
            )
            yield error(model.config_path, message, "export the model again", _line(model, sample, "input_data_file"))


def _warmup_length(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    """Triton refuses a file that is shorter than stated, and cuts a longer one off, which breaks a JPEG."""
    for sample in _samples(model):
        filled = sample[2]
        path, item_bytes = _file(model, filled), _ITEM_BYTES.get(signature(filled).datatype)
        if not filled.input_data_file or not path.is_file() or item_bytes is None:
            continue
        stated, real = item_bytes * int(np.prod(filled.dims)), path.stat().st_size
        if stated != real:
            message = f"{filled.input_data_file} has {real} bytes, but warm-up {sample[0].name!r} states {stated}"
            fix = f"write dims: {real // item_bytes}" if len(filled.dims) == 1 else "export the model again"
            yield error(model.config_path, message, fix, _line(model, sample, "dims"))


def _warmup_image(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if model.backend != contract.DALI_BACKEND:
        return
    for sample in _samples(model):
        warmup, name, filled = sample
        if filled.data_type != pb.TYPE_UINT8 or len(filled.dims) != 1:
            continue
        if not filled.input_data_file:
            message = f"warm-up {warmup.name!r} fills {name!r} with zeros or noise, which no decoder accepts"
            fix = f"put a JPEG into {contract.WARMUP_FOLDER}/ and name it: input_data_file"
            yield error(model.config_path, message, fix, _line(model, sample))
        elif _file(model, filled).is_file():
            yield from _undecodable(model, _file(model, filled))


def _undecodable(model: ModelFolder, path: Path) -> Iterator[Problem]:
    max_pixels = read_max_pixels(model) or contract.DEFAULT_MAX_PIXELS
    try:
        check_image(path.read_bytes(), max_pixels=max_pixels)
    except ImageTooLargeError as reason:
        line = model.line_of(f'"{contract.MAX_PIXELS_PARAMETER}"', "string_value")
        fix = f"raise {contract.MAX_PIXELS_PARAMETER}, or warm up with a smaller picture"
        yield error(model.config_path, f"the model will not load, for its own warm-up: {reason}", fix, line)
    except ImageError as reason:
        message = f"the model will not load, for its own warm-up: {reason}"
        yield error(path, message, "put a small JPEG here and state its length in dims")


def _warmup_stray(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    folder = model.path / contract.WARMUP_FOLDER
    used = {_file(model, filled) for _, _, filled in _samples(model)}
    for path in sorted(folder.iterdir()) if folder.is_dir() and model.config.model_warmup else ():
        if path not in used and path.name != ".gitkeep":
            yield warning(path, "no warm-up uses this file", "delete it, or name it as input_data_file")


RULES = (
    Rule("warmup-absent", _warmup_absent),
    Rule("warmup-inputs", _warmup_inputs),
    Rule("warmup-batch", _warmup_batch),
    Rule("warmup-file", _warmup_file),
    Rule("warmup-length", _warmup_length),
    Rule("warmup-image", _warmup_image),
    Rule("warmup-stray", _warmup_stray),
)
