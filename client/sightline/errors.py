"""Every error that Sightline raises.

    SightlineError
    ├── InvalidOptionError          an argument or option is not allowed (also a ValueError)
    ├── MissingDependencyError      an extra, a file or a platform feature is not there
    ├── ImageError                  one image is at fault; the others are not affected
    │   ├── UnreadableImageError    its file cannot be opened or read
    │   ├── EmptyImageError         no bytes
    │   ├── UnsupportedImageError   not an image, or a format that is not decoded
    │   ├── CorruptImageError       truncated or damaged
    │   └── ImageTooLargeError      more pixels or bytes than allowed
    ├── ServerError                 talking to Triton failed
    │   ├── ServerUnavailableError  nobody answers, or the connection broke
    │   │   └── SecureConnectionError   TLS failed: a certificate, a host name, or a port without TLS
    │   ├── ServerBusyError         its queue is full
    │   │   └── RateLimitedError        more than this client may ask for in that time
    │   ├── AuthenticationError     no token, or one that is not valid
    │   ├── PermissionDeniedError   what is asked for is not for everybody
    │   ├── DeadlineExceededError   no answer in time
    │   ├── ModelNotFoundError      no such model, or it is not ready
    │   └── InferenceError          the model failed
    ├── ContractMismatchError       a served model is not a Sightline detector of this version
    ├── OutputError                 what was found in one image could not be written
    ├── ClientStateError            the client was closed, or used in a forked process
    ├── MeasurementError            a benchmark could not measure: what it was to measure failed
    ├── ExportError                 a checkpoint could not become a served model
    │   ├── CheckpointError         the file is not a detector that can be read
    │   ├── UnknownHeadError        the network's outputs have no known layout
    │   ├── UnsupportedVersionError a package that reads checkpoints is newer or older than the tested ones, and failed
    │   ├── NotPlannableError       a network cannot be a TensorRT plan
    │   └── VerificationError       the exported model does not do what its source does
    └── LaunchError                 the embedded server could not run
        ├── PortInUseError          somebody listens there
        └── ModelLoadError          a model of the repository failed to load

An `ImageError` has a `kind`, a short word that stands in `errors.jsonl` and travels from the server to the client.
"""

from __future__ import annotations

from typing import ClassVar


class SightlineError(Exception):
    """Root of the tree."""


class InvalidOptionError(SightlineError, ValueError):
    """An argument or option is not allowed."""


class MissingDependencyError(SightlineError):
    """An extra, a file or a platform feature is not there; the message says how to get it."""


class ImageError(SightlineError):
    """One image is at fault."""

    kind: ClassVar[str] = "image"


class UnreadableImageError(ImageError):
    """The file cannot be opened or read."""

    kind = "unreadable"


class EmptyImageError(ImageError):
    """There are no bytes."""

    kind = "empty"


class UnsupportedImageError(ImageError):
    """Not an image, or of a format that is not decoded."""

    kind = "unsupported"


class CorruptImageError(ImageError):
    """The image is truncated or damaged."""

    kind = "corrupt"


class ImageTooLargeError(ImageError):
    """The image has more pixels or bytes than allowed."""

    kind = "too-large"


class ServerError(SightlineError):
    """Talking to Triton failed."""

    kind: ClassVar[str] = "server"


class ServerUnavailableError(ServerError):
    """Nobody answers at that address, or the connection broke."""

    kind = "server-unavailable"


class SecureConnectionError(ServerUnavailableError):
    """TLS failed: the certificate, its host name, or a port that does not speak it."""

    kind = "secure-connection"


class ServerBusyError(ServerError):
    """The server's queue is full."""

    kind = "server-busy"


class RateLimitedError(ServerBusyError):
    """More requests than this client may make in that time."""

    kind = "rate-limited"


class AuthenticationError(ServerError):
    """No token, or one that is not valid."""

    kind = "unauthenticated"


class PermissionDeniedError(ServerError):
    """What is asked for is not for everybody."""

    kind = "permission-denied"


class DeadlineExceededError(ServerError):
    """No answer in time."""

    kind = "deadline-exceeded"


class ModelNotFoundError(ServerError):
    """The server has no such model, or it is not ready."""

    kind = "model-not-found"


class InferenceError(ServerError):
    """The model failed."""

    kind = "inference-failed"


class ContractMismatchError(SightlineError):
    """A served model is not a Sightline detector of this contract version."""


class OutputError(SightlineError):
    """What was found in one image could not be written."""

    kind: ClassVar[str] = "write-failed"


class ClientStateError(SightlineError):
    """The client was closed, or is used in a forked process."""


class MeasurementError(SightlineError):
    """A benchmark could not measure, since what it was to measure failed."""


class ExportError(SightlineError):
    """A checkpoint could not become a served model."""


class CheckpointError(ExportError):
    """The file is not a detector that can be read."""


class UnknownHeadError(ExportError):
    """The network's outputs have no known layout."""


class UnsupportedVersionError(ExportError):
    """A package that reads checkpoints is newer or older than the tested ones, and failed."""


class NotPlannableError(ExportError):
    """A network cannot be a TensorRT plan; ONNX Runtime can serve it."""


class VerificationError(ExportError):
    """The exported model does not do what its source does."""


class LaunchError(SightlineError):
    """The embedded server could not run."""


class PortInUseError(LaunchError):
    """Somebody else listens on that port."""


class ModelLoadError(LaunchError):
    """A model of the repository failed to load."""


_IMAGE_ERRORS: dict[str, type[ImageError]] = {
    error.kind: error
    for error in (
        UnreadableImageError,
        EmptyImageError,
        UnsupportedImageError,
        CorruptImageError,
        ImageTooLargeError,
    )
}


def image_error(kind: str, reason: str) -> ImageError:
    """The image error of that kind; a kind that is not known here gives a plain `ImageError`."""
    return _IMAGE_ERRORS.get(kind, ImageError)(reason)
