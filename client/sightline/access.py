"""How to get in: encryption, whom to trust, and the token."""

from __future__ import annotations

import os
import re
import ssl
import stat
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from sightline.errors import InvalidOptionError

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_LARGEST_TOKEN_FILE_BYTES = 8192


@dataclass(frozen=True, kw_only=True)
class Access:
    """How the server proves who it is, and the client what it may do.

    Neither field that is a secret or long is shown by `repr`. `from_files` reads them from files.

    Attributes:
        tls: whether the connection is encrypted, and the server's certificate checked, its host name included.
        ca_certificates: the authorities that are trusted, as PEM; None for the public ones that gRPC brings along, or
            those of the file that the environment variable GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names.
        token: what is sent with each request as `authorization: Bearer TOKEN`; None sends nothing. Without TLS, only
            to this machine itself.

    Raises:
        InvalidOptionError: certificates without TLS, or no certificates, or no token in the text.
    """

    tls: bool = False
    ca_certificates: bytes | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.ca_certificates is not None:
            if not self.tls:
                raise InvalidOptionError("ca_certificates belongs to tls=True, which is not given")
            _check_certificates(self.ca_certificates)
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise InvalidOptionError(
                "the token (not shown here) is empty, or holds other characters than letters, digits and -._~+/=: give "
                "it alone, without its name or `Bearer`"
            )

    @classmethod
    def from_files(
        cls, *, tls: bool = False, tls_ca: str | Path | None = None, token_file: str | Path | None = None
    ) -> Access:
        """Read certificates and token, once; what becomes of the files later changes nothing.

        Args:
            tls: encrypt, for a server whose certificate a public authority signed.
            tls_ca: PEM file of the authorities to trust instead; encrypts too.
            token_file: file that holds a token and nothing else.

        Raises:
            InvalidOptionError: a file cannot be read, or holds something else.

        Warns:
            UserWarning: every user of this machine can read the token's file.
        """
        certificates = None if tls_ca is None else _read(Path(tls_ca), "certificates")
        token = None if token_file is None else _read_token(Path(token_file))
        try:
            return cls(tls=tls or certificates is not None, ca_certificates=certificates, token=token)
        except InvalidOptionError as error:
            files = ", ".join(str(path) for path in (tls_ca, token_file) if path is not None)
            raise InvalidOptionError(f"{files}: {error}") from None

    @property
    def call_metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with each gRPC call."""
        return () if self.token is None else (("authorization", f"Bearer {self.token}"),)


PLAIN = Access()
"""No encryption and no token."""


def _check_certificates(pem: bytes) -> None:
    try:
        # Comments between them may hold anything.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii", errors="ignore"))
    except (ssl.SSLError, ValueError) as error:
        raise InvalidOptionError(
            "that is no PEM text of certificates, which begin with -----BEGIN CERTIFICATE-----"
        ) from error


def _read_token(path: Path) -> str:
    content = _read(path, "the token")
    if len(content) > _LARGEST_TOKEN_FILE_BYTES:
        raise InvalidOptionError(f"{path} is too long for a token: {len(content):,} bytes")
    _warn_if_open(path)
    return content.decode("utf-8", errors="replace").strip()


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidOptionError(f"cannot read {what} from {path}: {error.strerror or error}") from error


def _warn_if_open(path: Path) -> None:
    if os.name == "posix" and stat.S_ISREG(mode := path.stat().st_mode) and mode & stat.S_IROTH:
        warnings.warn(f"every user of this machine can read the token in {path}: chmod 600 {path}", stacklevel=4)
