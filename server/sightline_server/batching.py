"""Runs the requests of one dynamic batch, so that a bad one fails alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sightline_server.cuda import Parts
from sightline_server.dlpack import Values
from sightline_server.engines import Array, Arrays, Engine, EngineError

Answer = Arrays | EngineError


def run_requests(engine: Engine, requests: Sequence[Mapping[str, Values]], *, joined: bool) -> list[Answer]:
    """The outputs of every request, or its own error.

    Args:
        engine: what computes.
        requests: for each, its inputs by name; where `joined`, the first axis counts its images.
        joined: whether requests that are alike are computed together.
    """
    if len(requests) == 1:
        return [_run(engine, requests[0])]
    if not joined or not _alike(requests):
        return _run_singly(engine, requests)
    try:
        outputs = engine.run({name: _joined([request[name] for request in requests]) for name in requests[0]})
    except EngineError:
        # Somebody's fault: find out whose.
        return _run_singly(engine, requests)
    sizes = [_batch_size(request) for request in requests]
    if any(len(values) != sum(sizes) for values in outputs.values()):
        return _run_singly(engine, requests)
    return list(_split(outputs, sizes))


def _joined(values: Sequence[Values]) -> Array | Parts:
    """One array; where one of them lies on a GPU, left for the engine to bring together there."""
    arrays = [each for each in values if isinstance(each, np.ndarray)]
    return np.concatenate(arrays) if len(arrays) == len(values) else Parts(tuple(values))


def _alike(requests: Sequence[Mapping[str, Values]]) -> bool:
    """Whether all requests agree in everything but the number of images."""
    shapes = [{name: (values.dtype, values.shape[1:]) for name, values in request.items()} for request in requests]
    return all(shape == shapes[0] for shape in shapes)


def _run_singly(engine: Engine, requests: Sequence[Mapping[str, Values]]) -> list[Answer]:
    answers = []
    for request in requests:
        answer = _run(engine, request)
        if not isinstance(answer, EngineError):
            # The next run may write into the same memory.
            answer = {name: values.copy() for name, values in answer.items()}
        answers.append(answer)
    return answers


def _run(engine: Engine, request: Mapping[str, Values]) -> Answer:
    try:
        return engine.run(request)
    except EngineError as error:
        return error


def _batch_size(request: Mapping[str, Values]) -> int:
    return len(next(iter(request.values())))


def _split(outputs: Arrays, sizes: Sequence[int]) -> list[Arrays]:
    ends = np.cumsum(sizes).tolist()
    starts = [0, *ends[:-1]]
    return [{name: values[a:b] for name, values in outputs.items()} for a, b in zip(starts, ends, strict=True)]
