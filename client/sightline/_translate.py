"""The border where gRPC's and Triton's errors become ours."""

from __future__ import annotations

import re
from collections.abc import Callable

import grpc

from sightline.contract import DEFAULT_GRPC_PORT, parse_image_error
from sightline.errors import (
    AuthenticationError,
    CorruptImageError,
    DeadlineExceededError,
    ImageTooLargeError,
    InferenceError,
    ModelNotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    SecureConnectionError,
    ServerBusyError,
    ServerError,
    ServerUnavailableError,
    SightlineError,
    image_error,
)


class SuspectImageError(CorruptImageError):
    """Some image that was in the server's batch is undecodable: it may have come in another request.

    The native DALI backend fails every request of a dynamic batch so. It stays inside the client.
    """


# What gRPC sees of an HTTP/1 server; Triton's own just hangs up.
_SPEAKS_HTTP = re.compile("http1|parsing HTTP/2|failed to connect.*Socket closed", re.IGNORECASE)
# What gRPC and proxies say of a message; the same status code also stands for limits of rate and load.
_TOO_LARGE = re.compile(r"larger than|too (large|big)|(message|body|payload|frame)\W+(size|length)", re.IGNORECASE)
_RATE_LIMITED = re.compile(r"rate.?limit|too many requests|quota", re.IGNORECASE)
_TLS_FAILED = re.compile("handshake (read |write )?failed|hostname verification|CERTIFICATE_VERIFY", re.IGNORECASE)
_NO_TLS = "what listens there does not speak TLS: give the proxy's port, or no TLS (--tls, --tls-ca)"
# What BoringSSL's words mean, by what is seen in gRPC's text; releases of gRPC tell more or less of them.
_TLS_WORDS = (
    ("has expired", "the server's certificate has expired: have it renewed, and the proxy reloaded"),
    ("not yet valid", "the server's certificate is not valid yet: check the clocks of both machines"),
    ("Hostname Verification", "the server's certificate is for other names: connect by a name that it holds"),
    ("WRONG_VERSION_NUMBER", _NO_TLS),
    ("Socket closed", _NO_TLS),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "nobody who is trusted has signed the server's certificate: give its authority's with --tls-ca FILE",
    ),
)
_NATIVE_REASON = re.compile(r"encountered:\s*([^\n]*)")
# What nvImageCodec's and the decoders' words mean, by what is seen in the native backend's text.
_NATIVE_WORDS = (
    ("'#4'", "its format is unknown"),
    ("'#3'", "its header is damaged"),
    ("'#17'", "its data is damaged or cut off"),
    ("bad_alloc", "there is not enough memory for its size"),
    ("Failed to decode", "it is truncated or damaged"),
)


def from_rpc_error(error: grpc.RpcError, *, url: str) -> SightlineError:
    """Our error for a failed gRPC call to `url`."""
    code, details = _code_and_details(error)
    known = _from_known_text(details)
    if known is not None:
        return known
    translate = _BY_CODE.get(code)
    return translate(url, details) if translate else InferenceError(f"{url}: {details or code.name}")


def from_message(message: str) -> SightlineError:
    """Our error for the text that stands in an answer of `ModelStreamInfer`."""
    return _from_known_text(message) or InferenceError(message)


def _code_and_details(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    # What gRPC raises is both an RpcError and a Call; its types do not say so.
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    details = error.details() if hasattr(error, "details") else str(error)
    return code, details or ""


def _from_known_text(text: str) -> SightlineError | None:
    if (blamed := parse_image_error(text)) is not None:
        return image_error(*blamed)
    return next((error(text) for sign, error in _BY_TEXT if sign.search(text)), None)


def _native_reason(text: str) -> str:
    found = _NATIVE_REASON.search(text)
    said = found[1].strip() if found else ""
    meaning = next((words for sign, words in _NATIVE_WORDS if sign in said), said or "no reason given")
    return f"the server cannot decode it: {meaning}"


def _unavailable(url: str, details: str) -> ServerError:
    if _TLS_FAILED.search(details):
        return _tls_failed(url, details)
    if _SPEAKS_HTTP.search(details):
        return ServerUnavailableError(
            f"what listens at {url} does not speak gRPC ({details}): give Triton's gRPC port, {DEFAULT_GRPC_PORT} by "
            "default, not its HTTP port; or it wants TLS: --tls-ca FILE, or --tls"
        )
    return ServerUnavailableError(
        f"no Triton answers at {url} ({details}); start one with `sightline serve`, or check host and gRPC port"
    )


def _tls_failed(url: str, details: str) -> ServerError:
    meaning = next((words for sign, words in _TLS_WORDS if sign in details), "check certificate and port")
    return SecureConnectionError(f"no secure connection to {url}: {meaning} ({details})")


def _deadline(url: str, details: str) -> ServerError:
    return DeadlineExceededError(
        f"no answer from {url} in time ({details}); raise timeout_seconds or send less at once"
    )


def _cancelled(url: str, details: str) -> ServerError:
    return ServerUnavailableError(f"{url} cancelled the request ({details})")


def _unauthenticated(url: str, details: str) -> ServerError:
    return AuthenticationError(f"{url} does not accept the token, or wants one (--token-file FILE): {details}")


def _denied(url: str, details: str) -> ServerError:
    return PermissionDeniedError(f"{url} does not allow that: {details}")


def _unimplemented(url: str, details: str) -> ServerError:
    return ServerUnavailableError(f"{url} is not a Triton server ({details})")


def _exhausted(url: str, details: str) -> SightlineError:
    if _TOO_LARGE.search(details):
        return ImageTooLargeError(f"{url} takes no message of that size: {details}")
    if _RATE_LIMITED.search(details):
        return RateLimitedError(f"{url} allows no more requests for now: {details}")
    return ServerBusyError(f"{url} takes no more requests for now: {details or 'no reason given'}")


def _not_found(url: str, details: str) -> ServerError:
    return ModelNotFoundError(f"{url}: {details}; `sightline models` lists what is served")


_BY_CODE: dict[grpc.StatusCode, Callable[[str, str], SightlineError]] = {
    grpc.StatusCode.UNAVAILABLE: _unavailable,
    grpc.StatusCode.NOT_FOUND: _not_found,
    grpc.StatusCode.DEADLINE_EXCEEDED: _deadline,
    grpc.StatusCode.CANCELLED: _cancelled,
    grpc.StatusCode.UNAUTHENTICATED: _unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: _denied,
    grpc.StatusCode.UNIMPLEMENTED: _unimplemented,
    grpc.StatusCode.RESOURCE_EXHAUSTED: _exhausted,
}

# Each way to say it in Triton's own words, whatever the status code.
_BY_TEXT: tuple[tuple[re.Pattern[str], Callable[[str], SightlineError]], ...] = (
    (
        re.compile("Critical error in pipeline|Current pipeline object is no longer valid"),
        lambda text: SuspectImageError(_native_reason(text)),
    ),
    (
        re.compile("exceeds maximum queue size", re.IGNORECASE),
        lambda _: ServerBusyError("the server's queue is full"),
    ),
    (
        re.compile("request timeout expired", re.IGNORECASE),
        lambda _: DeadlineExceededError("the request waited too long in the server's queue"),
    ),
    (
        re.compile("protocol is restricted", re.IGNORECASE),
        lambda text: PermissionDeniedError(f"the server keeps that to those who hold its admin key: {text}"),
    ),
    (
        re.compile("server is (stopping|not live|exiting)|stopped accepting", re.IGNORECASE),
        lambda text: ServerUnavailableError(f"the server is stopping: {text}"),
    ),
    (
        re.compile("unknown model|has no available versions|is not ready|not at ready state", re.IGNORECASE),
        lambda text: ModelNotFoundError(f"{text}; `sightline models` lists what is served"),
    ),
)
