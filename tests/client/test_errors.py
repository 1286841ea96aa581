"""What Triton and gRPC say, and what becomes of it. The texts were taken down from real servers."""

from __future__ import annotations

import grpc
import pytest

from sightline import contract, errors
from sightline._translate import SuspectImageError, from_message, from_rpc_error

NATIVE = """in ensemble 'toy', Runtime error: Critical error in pipeline:
Error in CPU operator `nvidia.dali.fn.decoders.image`,
which was used in the pipeline definition with the following traceback:

  File "/models/letterbox_640/1/dali.py", line 62, in letterbox
    images = fn.decoders.image(

encountered:

{reason}
Current pipeline object is no longer valid."""


class Failure(grpc.RpcError):  # type: ignore[misc]
    """What gRPC raises, made by hand."""

    def __init__(self, code: grpc.StatusCode, details: str | None) -> None:
        self._said = code, details

    def code(self) -> grpc.StatusCode:
        return self._said[0]

    def details(self) -> str | None:
        return self._said[1]


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("Failed to decode sample #0 : ", "truncated or damaged"),
        ("nvImageCodec failure: '#4'", "format is unknown"),
        ("nvImageCodec failure: '#3'", "header is damaged"),
        ("nvImageCodec failure: '#17'", "data is damaged or cut off"),
        ("std::bad_alloc", "not enough memory"),
        ("something new", "something new"),
    ],
)
def test_the_native_dali_backend(reason: str, meaning: str) -> None:
    error = from_message(NATIVE.format(reason=reason))
    assert isinstance(error, SuspectImageError)
    assert meaning in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("kind", ["empty", "unsupported", "corrupt", "too-large", "unreadable"])
def test_image_errors_keep_their_kind(kind: str) -> None:
    text = "in ensemble 'toy', " + contract.format_image_error(kind, "because\nof this")
    error = from_message(text)
    assert isinstance(error, errors.ImageError)
    assert (error.kind, str(error)) == (kind, "because of this")


@pytest.mark.parametrize(
    ("code", "details", "wanted"),
    [
        ("UNAVAILABLE", "Exceeds maximum queue size", errors.ServerBusyError),
        ("UNAVAILABLE", "Request timeout expired", errors.DeadlineExceededError),
        ("UNAVAILABLE", "failed to connect to all addresses", errors.ServerUnavailableError),
        ("UNAVAILABLE", "Server is stopping, scheduler for model has stopped", errors.ServerUnavailableError),
        ("UNAVAILABLE", "Trying to connect an http1.x server", errors.ServerUnavailableError),
        ("UNAVAILABLE", "Request for unknown model: 'x' is not found", errors.ModelNotFoundError),
        ("NOT_FOUND", "whatever", errors.ModelNotFoundError),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", errors.DeadlineExceededError),
        ("CANCELLED", "Channel closed!", errors.ServerUnavailableError),
        ("UNIMPLEMENTED", "", errors.ServerUnavailableError),
        ("RESOURCE_EXHAUSTED", "CLIENT: Sent message larger than max (9 vs. 5)", errors.ImageTooLargeError),
        ("RESOURCE_EXHAUSTED", "grpc: received message larger than max (9 vs. 5)", errors.ImageTooLargeError),
        ("RESOURCE_EXHAUSTED", "request body too large", errors.ImageTooLargeError),
        ("RESOURCE_EXHAUSTED", "rate limit exceeded, try again later", errors.RateLimitedError),
        ("RESOURCE_EXHAUSTED", "Bandwidth exhausted or memory limit exceeded", errors.ServerBusyError),
        ("RESOURCE_EXHAUSTED", "", errors.ServerBusyError),
        ("UNAUTHENTICATED", "no token", errors.AuthenticationError),
        ("PERMISSION_DENIED", "not yours", errors.PermissionDeniedError),
        ("UNAVAILABLE", "This protocol is restricted, expecting header 'x'", errors.PermissionDeniedError),
        ("UNAVAILABLE", "Ssl handshake failed: SSL_ERROR_SSL", errors.SecureConnectionError),
        ("UNAVAILABLE", "Handshake read failed (Socket closed)", errors.SecureConnectionError),
        ("UNAVAILABLE", "Hostname Verification Check failed.", errors.SecureConnectionError),
        ("INVALID_ARGUMENT", "unexpected shape", errors.InferenceError),
        ("INTERNAL", "CUDA out of memory", errors.InferenceError),
        ("UNKNOWN", None, errors.InferenceError),
    ],
)
def test_status_codes(code: str, details: str | None, wanted: type[errors.SightlineError]) -> None:
    error = from_rpc_error(Failure(grpc.StatusCode[code], details), url="host:8001")
    assert type(error) is wanted
    assert str(error)


def test_the_http_port_is_named() -> None:
    failure = Failure(grpc.StatusCode.UNAVAILABLE, "Trying to connect an http1.x server")
    assert "does not speak gRPC" in str(from_rpc_error(failure, url="host:8000"))


def test_other_texts_stay_as_they_are() -> None:
    error = from_message("inference failed: CUDA error 35")
    assert (type(error), str(error)) == (errors.InferenceError, "inference failed: CUDA error 35")
