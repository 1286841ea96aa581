"""Times decoding alone beside the whole preprocessing, in a process of its own, on the CPU.

`python -m sightline_bench.profile.decode_process` reads a job from standard input: `pipeline`, `files`, `threads` and
`rounds`; its last line is JSON: mean seconds for a picture in every round, of both.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightline_server.pipeline import Pipeline

_WARM = 2
"""Files that both see before anything is timed."""


def decoding_pipeline(
    threads: int, *, batch_size: int = 1, device: int | None = None, hardware_load: float = 1.0
) -> Callable[[Sequence[bytes]], Any]:
    """DALI's decoder, as our preprocessing uses it, and nothing behind it.

    Args:
        threads: of the processor.
        batch_size: most files in a run.
        device: number of the GPU that decodes; None for the CPU.
        hardware_load: share of a batch for a GPU's hardware decoder.
    """
    from nvidia.dali import Pipeline as DaliPipeline
    from nvidia.dali import fn, types

    pipeline = DaliPipeline(batch_size=batch_size, num_threads=threads, device_id=device, prefetch_queue_depth=1)
    options = {"device": "cpu"} if device is None else {"device": "mixed", "hw_decoder_load": hardware_load}
    with pipeline:
        encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1, device="cpu")
        pipeline.set_outputs(fn.decoders.image(encoded, output_type=types.RGB, jpeg_fancy_upsampling=True, **options))
    pipeline.build()
    return lambda files: pipeline.run(encoded=[np.frombuffer(data, np.uint8) for data in files])


def measure(pipeline: Path, files: Sequence[Path], *, threads: int, rounds: int) -> dict[str, list[float]]:
    """Mean seconds for a picture, round by round."""
    whole = Pipeline(pipeline, max_batch_size=1, threads=threads)
    decode = decoding_pipeline(threads)
    data = [file.read_bytes() for file in files]
    for each in data[:_WARM]:
        decode([each])
        whole.run([each])
    ways: list[tuple[str, Callable[[Sequence[bytes]], Any]]] = [
        ("decode_seconds", decode),
        ("whole_seconds", whole.run),
    ]
    taken: dict[str, list[float]] = {name: [] for name, _ in ways}
    for number in range(rounds):
        sums = dict.fromkeys(taken, 0.0)
        for index, each in enumerate(data):
            for name, run in ways if (number + index) % 2 == 0 else reversed(ways):
                started = time.perf_counter()
                run([each])
                sums[name] += time.perf_counter() - started
        for name, seconds in sums.items():
            taken[name].append(seconds / len(data))
    return taken


def main() -> None:
    """Run the job of standard input."""
    job = json.load(sys.stdin)
    files = [Path(file) for file in job["files"]]
    print(json.dumps(measure(Path(job["pipeline"]), files, threads=job["threads"], rounds=job["rounds"])))


if __name__ == "__main__":
    main()
