"""Decoder and letterbox by themselves: batches of JPEGs from the host's memory, again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any

from sightline.contract import DALI_FILE, MODEL_VERSION
from sightline_bench.gpu.loop import Job
from sightline_bench.gpu.material import Model, Photos
from sightline_bench.gpu.plan import DEVICE, DecoderAlone, LetterboxAlone
from sightline_bench.gpu.survey import Place
from sightline_bench.profile.decode_process import decoding_pipeline
from sightline_bench.profile.detector import find_detector
from sightline_server.cpu import available_cores
from sightline_server.pipeline import Pipeline


def decoder_jobs(choice: DecoderAlone, photos: Photos, place: Place) -> list[Job]:
    """DALI's decoder, for each stream."""
    device = DEVICE if place == "gpu" else None
    return [
        _going_over(
            photos,
            choice.batch,
            decoding_pipeline(
                _threads(choice.streams), batch_size=choice.batch, device=device, hardware_load=choice.hardware_load
            ),
        )
        for _ in range(choice.streams)
    ]


def letterbox_jobs(choice: LetterboxAlone, photos: Photos, model: Model, place: Place) -> list[Job]:
    """The first step of a served detector, from its own `dali.py`, for each stream.

    Raises:
        SightlineError: it cannot be opened.
    """
    first = find_detector(model.repository, model.name).info.preprocessing.model_name
    file = model.repository / first / str(MODEL_VERSION) / DALI_FILE
    device = DEVICE if place == "gpu" else None
    return [
        _going_over(
            photos,
            choice.batch,
            Pipeline(file, max_batch_size=choice.batch, threads=_threads(choice.streams), device=device).run,
        )
        for _ in range(choice.streams)
    ]


def _threads(streams: int) -> int:
    return max(1, available_cores() // streams)


def _going_over(photos: Photos, batch: int, run: Callable[[Sequence[bytes]], Any]) -> Job:
    """Runs one batch after the other, from the first photo again behind the last."""
    endless = cycle([file.read_bytes() for file in photos.files])

    def job() -> None:
        run(list(islice(endless, batch)))

    return job
