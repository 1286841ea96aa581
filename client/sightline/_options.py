"""Options of the clients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from sightline.access import PLAIN, Access
from sightline.contract import DEFAULT_GRPC_PORT, DEFAULT_MAX_PIXELS, DEFAULT_SCORE_THRESHOLD, check_fraction
from sightline.errors import InvalidOptionError
from sightline.images import DEFAULT_MAX_IMAGE_BYTES
from sightline.tiling import Tiling

TransportKind = Literal["unary", "stream"]
TRANSPORT_KINDS: tuple[TransportKind, ...] = get_args(TransportKind)

DEFAULT_URL = f"localhost:{DEFAULT_GRPC_PORT}"
DEFAULT_TIMEOUT_SECONDS = 60.0
DEFAULT_RECONNECT_SECONDS = 30.0
DEFAULT_BATCH_SIZE = 8
DEFAULT_BATCH_BYTES = 32 * 1024 * 1024
DEFAULT_BATCH_PIXELS = 64_000_000
DEFAULT_IN_FLIGHT = 4
_MOST_IN_FLIGHT = 16
DEFAULT_IN_FLIGHT_PIXELS = 256_000_000
"""Two pictures of 128 megapixels: the server decodes one while the other travels."""

_COUNTS = ("in_flight", "in_flight_pixels", "batch_bytes", "batch_pixels", "max_pixels", "max_image_bytes")


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """How a client talks to the server.

    Attributes:
        score_threshold: lowest score of a detection, 0 to 1, where a call does not say otherwise.
        timeout_seconds: longest wait for the answer to one request, more than 0.
        reconnect_seconds: how long a broken connection is tried again before images get `ServerUnavailableError`; 0 or
            more.
        transport: `"unary"` makes one call per request, `"stream"` sends all requests through one long call.
        in_flight: requests on their way at the same time, at least 1. Without, 4; up to 16 of a stream's, if they
            have 32 images at the most together, while the server takes less than 5 milliseconds for each.
        in_flight_pixels: width x height of all images of a client that are in memory or on their way at the same time,
            unless a single one has more; an encoded byte counts as two pixels where that is more.
        batch_bytes: bytes in one request, unless a single image has more.
        batch_pixels: width x height of all images in one request, unless a single one has more.
        max_pixels: largest width x height that is sent.
        max_image_bytes: largest file that is sent.
        tiling: how pictures larger than a tile are cut; None to send them as they are.
        access: encryption and token; neither by default.

    Raises:
        InvalidOptionError: a value is out of range.
    """

    score_threshold: float = DEFAULT_SCORE_THRESHOLD
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    reconnect_seconds: float = DEFAULT_RECONNECT_SECONDS
    transport: TransportKind = "unary"
    in_flight: int | None = None
    in_flight_pixels: int = DEFAULT_IN_FLIGHT_PIXELS
    batch_bytes: int = DEFAULT_BATCH_BYTES
    batch_pixels: int = DEFAULT_BATCH_PIXELS
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_image_bytes: int = DEFAULT_MAX_IMAGE_BYTES
    tiling: Tiling | None = None
    access: Access = PLAIN

    def __post_init__(self) -> None:
        check_fraction("score_threshold", self.score_threshold)
        if not (self.timeout_seconds > 0 and math.isfinite(self.timeout_seconds)):
            raise InvalidOptionError(f"timeout_seconds is {self.timeout_seconds}; it must be more than 0, and finite")
        if not (self.reconnect_seconds >= 0 and math.isfinite(self.reconnect_seconds)):
            raise InvalidOptionError(f"reconnect_seconds is {self.reconnect_seconds}; it must be 0 or more, and finite")
        if self.transport not in TRANSPORT_KINDS:
            raise InvalidOptionError(f"transport {self.transport!r} is not one of {', '.join(TRANSPORT_KINDS)}")
        for name in _COUNTS:
            if name != "in_flight" or self.in_flight is not None:
                check_count(name, getattr(self, name))

    @property
    def fewest_in_flight(self) -> int:
        """Requests on their way at the same time, however slow the server is."""
        return DEFAULT_IN_FLIGHT if self.in_flight is None else self.in_flight

    def most_in_flight(self, batch_size: int) -> int:
        """The same where it is fast, for requests of so many images."""
        if self.in_flight is not None:
            return self.in_flight
        images = DEFAULT_IN_FLIGHT * DEFAULT_BATCH_SIZE
        return max(DEFAULT_IN_FLIGHT, min(_MOST_IN_FLIGHT, images // batch_size))


def check_count(name: str, value: int) -> int:
    """`value` itself if it is a whole number of at least 1.

    Raises:
        InvalidOptionError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidOptionError(f"{name} is {value!r}; it must be a whole number of at least 1")
    return value
