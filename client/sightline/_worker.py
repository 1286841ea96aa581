"""Turns some images into their results: read, check, send, and find out whose fault a failure is."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np

from sightline._chunks import Chunk
from sightline._courier import Courier
from sightline._gate import Gate
from sightline._loading import Checked, load
from sightline._options import ClientOptions
from sightline._translate import SuspectImageError
from sightline._wire import RenewingDecoder
from sightline.detections import Result
from sightline.errors import (
    ClientStateError,
    CorruptImageError,
    ImageError,
    InferenceError,
    SightlineError,
)
from sightline.images import EncodedImage

# Alone in its request and alone on its way from this client, an image can still be failed by another client's. It is
# blamed if it fails this often while a good image passes each time, and until then nothing hints at such a client.
_FAILURES_TO_BLAME = 4
# Before each further trial; the later ones are for images that another client disturbs.
_PAUSES_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


class Worker:
    """Does the work of one stream, in whatever thread calls it.

    Args:
        courier: how requests travel.
        decoder: reads the answers.
        options: limits.
        score_threshold: lowest score of a detection, 0 to 1.
        gate: the one that all of the client's requests pass.
    """

    def __init__(
        self, courier: Courier, *, decoder: RenewingDecoder, options: ClientOptions, score_threshold: float, gate: Gate
    ) -> None:
        self._courier = courier
        self._decoder = decoder
        self._options = options
        self._score_threshold = score_threshold
        self._gate = gate
        self._in_flight = threading.Semaphore(options.in_flight)

    def run(self, images: Chunk) -> list[Result]:
        """One result per image, in the same order; in as few requests as the byte budget allows.

        Raises:
            ClientStateError: the client was closed meanwhile.
        """
        results: list[Result] = []
        batch: list[Checked | Result] = []
        longest = count = 0
        for image in images:
            self._courier.check_open()
            loaded = load(image, self._options)
            if isinstance(loaded, Checked):
                # Every image takes as much room as the longest of its request.
                longest, count = max(longest, len(loaded.data)), count + 1
                if count > 1 and longest * count > self._options.batch_bytes:
                    results += self._settle(batch)
                    batch, longest, count = [], len(loaded.data), 1
            batch.append(loaded)
        return results + self._settle(batch)

    def _settle(self, batch: Sequence[Checked | Result]) -> list[Result]:
        """Send what can be sent, and put the answers where they belong."""
        checked = [image for image in batch if isinstance(image, Checked)]
        answers = iter(self._answer(checked)) if checked else iter(())
        return [image if isinstance(image, Result) else next(answers) for image in batch]

    def _answer(self, images: Sequence[Checked]) -> list[Result]:
        outcome = self._try(images, self._gate.together(self._courier.check_open))
        if not isinstance(outcome, ImageError | InferenceError):
            return self._as_results(images, outcome)
        blamed = not isinstance(outcome, SuspectImageError | InferenceError)
        if blamed and len(images) == 1:
            return self._as_results(images, outcome)
        # A server that says whose fault it was has spared all other requests. With any other, only an image that was
        # alone on its way can be blamed.
        answer_one = self._answer_one if blamed else self._answer_alone
        return [answer_one(image) for image in images]

    def _answer_one(self, image: Checked) -> Result:
        return self._answer([image])[0]

    def _answer_alone(self, image: Checked) -> Result:
        failures = 0
        while True:
            outcome = self._try([image], self._alone())
            if not isinstance(outcome, SuspectImageError):
                if failures:
                    self._gate.note_disturbance()
                return self._as_results([image], outcome)[0]
            if isinstance(self._try([_control()], self._alone()), SuspectImageError):
                self._gate.note_disturbance()
            failures += 1
            if failures >= _FAILURES_TO_BLAME and not self._gate.disturbed:
                return Result(image.source, error=CorruptImageError(str(outcome)))
            if failures > len(_PAUSES_SECONDS):
                return Result(image.source, error=_undecided(outcome))
            self._courier.pause(_PAUSES_SECONDS[failures - 1])

    def _alone(self) -> AbstractContextManager[None]:
        return self._gate.alone(self._courier.check_open)

    def _try(self, images: Sequence[Checked], inside: AbstractContextManager[None]) -> list[Result] | SightlineError:
        try:
            with self._in_flight, inside:
                return self._ask(images)
        except ClientStateError:
            raise
        except SightlineError as error:
            return error

    def _as_results(self, images: Sequence[Checked], outcome: list[Result] | SightlineError) -> list[Result]:
        if isinstance(outcome, SightlineError):
            return [Result(image.source, error=outcome) for image in images]
        return outcome

    def _ask(self, images: Sequence[Checked]) -> list[Result]:
        begun = time.perf_counter()
        payloads = [image.data for image in images]
        response = self._courier.deliver(payloads, score_threshold=self._score_threshold)
        milliseconds = 1000 * (time.perf_counter() - begun)
        sizes_hw = [image.size_hw for image in images]
        found = self._decoder.decode(response, sizes_hw=sizes_hw)
        return [
            Result.of(image.source, each, milliseconds=milliseconds) for image, each in zip(images, found, strict=True)
        ]


def _control() -> Checked:
    """An image that every server can decode."""
    grey = EncodedImage.from_array(np.full((8, 8, 3), 128, np.uint8), source="control")
    return Checked(grey.source, grey.data, (8, 8))


def _undecided(failure: SightlineError) -> InferenceError:
    return InferenceError(
        f"undecided whether this image is at fault ({failure}): images of other clients fail good ones on this server; "
        "try it again later, or serve with `sightline serve`, which tells them apart"
    )
