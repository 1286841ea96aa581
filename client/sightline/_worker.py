"""Turns some images into their results: read, check, send, and find out whose fault a failure is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass

import numpy as np

from sightline._alike import Likeness, group_alike, likeness
from sightline._chunks import Chunk
from sightline._courier import Courier
from sightline._gate import Gate
from sightline._loading import Checked, Loader
from sightline._options import ClientOptions
from sightline._permits import Permits
from sightline._pooling import Pool
from sightline._room import Room
from sightline._tiler import Sendable, Tiler
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
from sightline.preprocessing import Preprocessing

# Alone in its request and alone on its way from this client, an image can still be failed by another client's. It is
# blamed if it fails this often while a good image passes each time, and until then nothing hints at such a client.
_FAILURES_TO_BLAME = 4
# Before each further trial; the later ones are for images that another client disturbs.
_PAUSES_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True)
class Task:
    """What is wanted of the images of one stream or call.

    Attributes:
        score_threshold: lowest score of a detection, 0 to 1.
        decoder: reads the answers.
        tiler: cuts large pictures; None where they are sent as they are.
        ways: those in which images are seen that are not to be in one request unless they are seen in one size.
        pooled: images of one aspect in a request, whichever chunks they are in; 0 for those of one chunk only.
    """

    score_threshold: float
    decoder: RenewingDecoder
    tiler: Tiler | None
    ways: tuple[Preprocessing, ...] = ()
    pooled: int = 0


@dataclass(frozen=True)
class Shared:
    """What all streams and calls of a client pass: the gate for requests, and the room for images."""

    gate: Gate
    room: Room

    def wake(self) -> None:
        """Have everybody who waits look whether the client was closed."""
        self.gate.wake()
        self.room.wake()


class Worker:
    """Does the work of one stream, in whatever thread calls it.

    Args:
        courier: how requests travel.
        task: what is wanted.
        options: limits.
        shared: the client's own.
        permits: how many requests may be on their way.
    """

    def __init__(
        self, courier: Courier, task: Task, *, options: ClientOptions, shared: Shared, permits: Permits
    ) -> None:
        self._courier = courier
        self._task = task
        self._shared = shared
        self._gate = shared.gate
        self._loader = Loader(options, room=shared.room, check_open=courier.check_open)
        self._permits = permits
        self._pool: Pool | None = None
        if task.pooled:
            self._pool = Pool(
                self._answer_together, self._likeness, size=task.pooled, senders=permits.most, options=options
            )

    @property
    def gathers(self) -> bool:
        """Whether it goes on with more chunks at a time than it sends requests, to fill these."""
        return self._pool is not None

    def run(self, images: Chunk) -> list[Result]:
        """One result per image, in the same order; in as few requests as the limits on bytes and pixels allow.

        Raises:
            ClientStateError: the client was closed meanwhile.
        """
        results: list[Result] = []
        with closing(self._loader.batches(images)) as batches:
            for batch in batches:
                results += self._settle(batch)
        return results

    def wake(self) -> None:
        """As `Shared.wake`."""
        self._shared.wake()

    def close(self) -> None:
        """End its threads, once nobody is in `run` any more."""
        if self._pool is not None:
            self._pool.close()

    def _settle(self, batch: Sequence[Checked | Result]) -> list[Result]:
        """Send what can be sent, and put the answers where they belong."""
        whole = [image for image in batch if isinstance(image, Checked) and not self._cuts(image)]
        answer = self._pool.answer if self._pool is not None else self._answer
        answers = iter(answer(whole)) if whole else iter(())
        results = []
        for image in batch:
            if isinstance(image, Result):
                results.append(image)
            elif self._task.tiler is not None and self._cuts(image):
                threshold = self._task.score_threshold
                results.append(self._task.tiler.detect(image, self._answer, score_threshold=threshold))
            else:
                results.append(next(answers))
        return results

    def _answer(self, images: Sequence[Sendable]) -> list[Result]:
        groups = group_alike([image.size_hw for image in images], self._task.ways)
        if len(groups) == 1:
            return self._answer_together(images)
        results: dict[int, Result] = {}
        for group in groups:
            results.update(zip(group, self._answer_together([images[index] for index in group]), strict=True))
        return [results[index] for index in range(len(images))]

    def _answer_together(self, images: Sequence[Sendable]) -> list[Result]:
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

    def _likeness(self, image: Checked) -> Likeness:
        return likeness(image.size_hw, self._task.ways)

    def _cuts(self, image: Checked) -> bool:
        return self._task.tiler is not None and self._task.tiler.cuts(image.size_hw)

    def _answer_one(self, image: Sendable) -> Result:
        return self._answer([image])[0]

    def _answer_alone(self, image: Sendable) -> Result:
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

    def _try(self, images: Sequence[Sendable], inside: AbstractContextManager[None]) -> list[Result] | SightlineError:
        try:
            with self._permits.request(), inside:
                return self._ask(images)
        except ClientStateError:
            raise
        except SightlineError as error:
            return error

    def _as_results(self, images: Sequence[Sendable], outcome: list[Result] | SightlineError) -> list[Result]:
        if isinstance(outcome, SightlineError):
            return [Result(image.source, error=outcome) for image in images]
        return outcome

    def _ask(self, images: Sequence[Sendable]) -> list[Result]:
        begun = time.perf_counter()
        payloads = [image.data for image in images]
        threshold = self._task.score_threshold * min(image.faintest for image in images)
        response = self._courier.deliver(payloads, score_threshold=threshold)
        milliseconds = 1000 * (time.perf_counter() - begun)
        sizes_hw = [image.size_hw for image in images]
        found = self._task.decoder.decode(response, sizes_hw=sizes_hw)
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
