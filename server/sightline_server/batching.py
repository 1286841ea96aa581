"""Runs the requests of one dynamic batch together, so that a bad one fails alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightline_server.engines import Array, Arrays, Engine, EngineError

Answer = Arrays | EngineError


def run_requests(engine: Engine, requests: Sequence[Arrays], *, batched: bool) -> list[Answer]:
    """The outputs of every request, or its own error.

    Args:
        engine: what computes.
        requests: for each, its inputs by name; where `batched`, the first axis counts its images.
        batched: whether inputs have that axis, so that requests may be joined.
    """
    if len(requests) == 1:
        return [_run(engine, requests[0])]
    if not batched or not _alike(requests):
        return _run_singly(engine, requests)
    try:
        outputs = engine.run({name: np.concatenate([request[name] for request in requests]) for name in requests[0]})
    except EngineError:
        # Somebody's fault: find out whose.
        return _run_singly(engine, requests)
    sizes = [_batch_size(request) for request in requests]
    if any(len(values) != sum(sizes) for values in outputs.values()):
        return _run_singly(engine, requests)
    return list(_split(outputs, sizes))


def _alike(requests: Sequence[Arrays]) -> bool:
    """Whether all requests agree in everything but the number of images."""
    shapes = [{name: (values.dtype, values.shape[1:]) for name, values in request.items()} for request in requests]
    return all(shape == shapes[0] for shape in shapes)


def _run_singly(engine: Engine, requests: Sequence[Arrays]) -> list[Answer]:
    answers = []
    for request in requests:
        answer = _run(engine, request)
        if not isinstance(answer, EngineError):
            # The next run may write into the same memory.
            answer = {name: values.copy() for name, values in answer.items()}
        answers.append(answer)
    return answers


def _run(engine: Engine, request: Arrays) -> Answer:
    try:
        return engine.run(request)
    except EngineError as error:
        return error


def _batch_size(request: Arrays) -> int:
    first: Array = next(iter(request.values()))
    return len(first)


def _split(outputs: Arrays, sizes: Sequence[int]) -> list[Arrays]:
    ends = np.cumsum(sizes).tolist()
    starts = [0, *ends[:-1]]
    return [{name: values[a:b] for name, values in outputs.items()} for a, b in zip(starts, ends, strict=True)]
