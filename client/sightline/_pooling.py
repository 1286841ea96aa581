"""Joins images of one aspect, whichever chunks of a stream they are in, into requests.

Where networks see rectangles, the few images of a chunk that are seen in one size make small requests, and the server
small batches. What is here waits for nothing: while requests are on their way, images gather, and when one may be sent,
the oldest goes with those that are alike. So nobody is left behind, a server with nothing to do is asked at once, and a
busy one gets full requests. How much gathers is bounded by who puts images in: each waits for its answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from sightline._loading import Checked
from sightline._options import ClientOptions
from sightline.detections import Result


class _Waiting(NamedTuple):
    """An image, what it must have in common with those beside it, and where its result goes."""

    image: Checked
    likeness: Hashable
    answer: Future[Result]


class Pool:
    """Images of one stream that wait for a request.

    Args:
        send: sends images as one request and gives a result for each, or raises what all of them are to fail with.
        likeness: what images of a request must have in common.
        size: images in a request, at most.
        senders: calls of `send` at the same time, at most.
        options: what a request may hold.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Checked]], list[Result]],
        likeness: Callable[[Checked], Hashable],
        *,
        size: int,
        senders: int,
        options: ClientOptions,
    ) -> None:
        self._send = send
        self._likeness = likeness
        self._size = size
        self._options = options
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._senders = ThreadPoolExecutor(senders, thread_name_prefix="sightline-requests")

    def answer(self, images: Sequence[Checked]) -> list[Result]:
        """Their results, once all are there; raises what `send` raised for any of them."""
        put = [_Waiting(image, self._likeness(image), Future()) for image in images]
        with self._lock:
            self._waiting += put
        for _ in put:
            # As many as there can be requests; those that find nothing left have nothing to do.
            self._senders.submit(self._send_oldest)
        return [each.answer.result() for each in put]

    @property
    def waiting(self) -> int:
        """Images for which no request is on its way yet."""
        with self._lock:
            return len(self._waiting)

    def close(self) -> None:
        """End the threads; nobody waits for an answer any more."""
        self._senders.shutdown(wait=True)

    def _send_oldest(self) -> None:
        taken = self._take()
        if not taken:
            return
        try:
            results = self._send([each.image for each in taken])
        except BaseException as error:  # noqa: BLE001 - raised where the answers are waited for
            for each in taken:
                each.answer.set_exception(error)
            return
        for each, result in zip(taken, results, strict=True):
            each.answer.set_result(result)

    def _take(self) -> list[_Waiting]:
        """The image that has waited longest, and those alike that fit into its request, in order."""
        with self._lock:
            taken: list[_Waiting] = []
            left: list[_Waiting] = []
            longest = pixels = 0
            for each in self._waiting:
                image = each.image
                fits = not taken or (
                    each.likeness == taken[0].likeness
                    and len(taken) < self._size
                    # Every image takes as much room as the longest of its request.
                    and max(longest, image.size_bytes) * (len(taken) + 1) <= self._options.batch_bytes
                    and pixels + image.pixels <= self._options.batch_pixels
                )
                if not fits:
                    left.append(each)
                    continue
                taken.append(each)
                longest, pixels = max(longest, image.size_bytes), pixels + image.pixels
            self._waiting = left
            return taken
