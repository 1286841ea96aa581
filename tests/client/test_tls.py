"""Access: certificates and tokens, read once, checked, and shown to nobody. The proxy's tests have the connections."""

from __future__ import annotations

import dataclasses
import pickle
import traceback
import warnings
from pathlib import Path

import grpc
import pytest
from tests.client.noop_images import numbered

from sightline import Access, Client, ClientOptions
from sightline._channel import Channel
from sightline.errors import InvalidOptionError
from sightline_server.launcher import EmbeddedServer

SERVICE = "inference.GRPCInferenceService"
TOKEN = "0123456789abcdef0123456789abcdef-._~+/="


@pytest.fixture(scope="session")
def ca() -> Path:
    """The public authorities that gRPC comes with."""
    return Path(grpc.__file__).with_name("_cython") / "_credentials" / "roots.pem"


def token_file(folder: Path, content: str | bytes = TOKEN, mode: int = 0o600) -> Path:
    file = folder / "token"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    file.chmod(mode)
    return file


def test_nothing_is_asked_for_by_default() -> None:
    access = ClientOptions().access
    assert (access.tls, access.ca_certificates, access.token, access.call_metadata) == (False, None, None, ())


def test_files(tmp_path: Path, ca: Path) -> None:
    access = Access.from_files(tls_ca=ca, token_file=token_file(tmp_path, f" {TOKEN}\r\n"))
    assert (access.tls, access.ca_certificates, access.token) == (True, ca.read_bytes(), TOKEN)
    assert access.call_metadata == (("authorization", f"Bearer {TOKEN}"),)


def test_files_are_read_once(tmp_path: Path, server: EmbeddedServer, noop_model: str) -> None:
    file = token_file(tmp_path)
    options = ClientOptions(access=Access.from_files(token_file=file))
    file.unlink()
    with Client(server.grpc_url, model=noop_model, options=options) as client:
        client.detect(numbered(1))


def test_the_token_is_shown_nowhere(tmp_path: Path, ca: Path) -> None:
    access = Access.from_files(tls_ca=ca, token_file=token_file(tmp_path))
    options = ClientOptions(access=access)
    with Client("127.0.0.1:1", model="x", options=options) as client:
        shown = [repr(each) for each in (access, options, client, client._core, Channel("[::1]:1", access=access))]
        try:
            client.detect(numbered(1))
        except Exception as error:  # noqa: BLE001 - whatever it is
            shown += [str(error), "".join(traceback.format_exception(error))]
    assert len(shown) == 7
    assert not [text for text in shown if TOKEN in text or "BEGIN CERTIFICATE" in text]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", r"is empty, or holds other characters"),
        ("\n", r"is empty, or holds other characters"),
        (f"name:{TOKEN}:standard\n", r"alone, without its name or `Bearer`"),
        (f"Bearer {TOKEN}", r"alone, without its name or `Bearer`"),
        (f"{TOKEN}\n{TOKEN}\n", r"holds other characters"),
        (b"\xff" * 40, r"holds other characters"),
        ("a" * 10_000, r"too long for a token: 10,000 bytes"),
    ],
)
def test_files_that_hold_something_else(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    file = token_file(tmp_path, content)
    with pytest.raises(InvalidOptionError, match=complaint) as raised:
        Access.from_files(token_file=file)
    assert str(file) in str(raised.value)
    assert TOKEN not in "".join(traceback.format_exception(raised.value))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match=r"cannot read the token from .*No such file"):
        Access.from_files(token_file=tmp_path / "nothing")
    with pytest.raises(InvalidOptionError, match=r"cannot read certificates from .*Is a directory"):
        Access.from_files(tls_ca=tmp_path)


def test_what_is_no_certificate(tmp_path: Path, ca: Path) -> None:
    certificate = "-----BEGIN CERTIFICATE-----\n" + ca.read_text().partition("-----BEGIN CERTIFICATE-----\n")[2]
    key = certificate.replace("CERTIFICATE", "PRIVATE KEY")
    for content in (b"", b"rubbish", key.encode(), b"\xff", certificate[:80].encode()):
        (tmp_path / "ca").write_bytes(content)
        with pytest.raises(InvalidOptionError, match="no PEM text of certificates"):
            Access.from_files(tls_ca=tmp_path / "ca")
    with pytest.raises(InvalidOptionError, match="belongs to tls=True"):
        Access(ca_certificates=ca.read_bytes())


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_files_that_all_may_read(tmp_path: Path, mode: int, warned: bool) -> None:
    file = token_file(tmp_path, mode=mode)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Access.from_files(token_file=file)
    assert [f"chmod 600 {file}" in str(warning.message) for warning in caught] == [True] * warned
    assert all(warning.filename == __file__ for warning in caught)


@pytest.mark.parametrize("url", ["localhost:8001", "127.0.0.1:8001", "127.1.2.3:8001", "[::1]:8001"])
def test_a_token_may_stay_on_this_machine_unencrypted(url: str) -> None:
    Channel(url, access=Access(token=TOKEN)).close()


@pytest.mark.parametrize("url", ["triton:8001", "10.0.0.5:8001", "localhost.example.com:8001", "[fe80::1]:8001"])
def test_a_token_never_travels_unencrypted(url: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"would travel to .* unencrypted: encrypt with --tls-ca") as raised:
        Channel(url, access=Access(token=TOKEN))
    assert TOKEN not in str(raised.value)
    Channel(url, access=Access(tls=True, token=TOKEN)).close()


def test_access_can_be_copied_to_another_process() -> None:
    access = Access(tls=True, token=TOKEN)
    assert pickle.loads(pickle.dumps(access)) == access
    assert dataclasses.replace(access, token=None).call_metadata == ()
