"""The served chain of the tests' exports: in the session's server instead of a new one for each."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from tritonclient.grpc import InferenceServerClient
from tritonclient.grpc.model_config_pb2 import ModelConfig
from tritonclient.utils import InferenceServerException

from sightline.cli._chain import Served, copy_model, parts_of
from sightline.contract import network_name
from sightline.errors import VerificationError
from sightline_server.launcher import EmbeddedServer


class JoiningChain:
    """New detectors join a running server, which must allow model control, under names of their own and leave it again.

    A preprocessing stays for the next one, until the chain is left.
    """

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self._folder = server.options.repository
        self._shared: set[str] = set()
        self._control = InferenceServerClient(server.grpc_url)

    def __enter__(self) -> JoiningChain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for name in sorted(self._shared):
            self._remove(name)
        self._control.close()

    @contextmanager
    def serve(self, repository: Path, name: str) -> Iterator[Served]:
        """As `EmbeddedChain.serve`."""
        served_as = f"candidate_{secrets.token_hex(4)}"
        parts = parts_of(repository, name)
        names = {name: served_as, network_name(name): network_name(served_as)}
        names |= {part.name: _shared_name(part, repository) for part in parts if part.name not in names}
        own = [names[part.name] for part in parts if part.name in (name, network_name(name))]
        try:
            for part in parts:
                source, target = repository / part.name, self._folder / names[part.name]
                if not target.exists():
                    _rename(part, names)
                    copy_model(source, target, part)
            self._shared |= {*names.values()} - {*own}
            self._load(served_as)
            yield Served(self._server, served_as)
        finally:
            for each in own:
                self._remove(each)

    def _load(self, name: str) -> None:
        try:
            self._control.load_model(name)
        except InferenceServerException as error:
            raise VerificationError(f"the served chain does not load: {error.message()}") from error

    def _remove(self, name: str) -> None:
        """Triton says nothing about a model that had not loaded."""
        self._control.unload_model(name)
        shutil.rmtree(self._folder / name, ignore_errors=True)


def _rename(config: ModelConfig, names: Mapping[str, str]) -> None:
    """Give this model and those that it refers to their names in the server."""
    config.name = names[config.name]
    for step in config.ensemble_scheduling.step:
        step.model_name = names[step.model_name]


def _shared_name(config: ModelConfig, repository: Path) -> str:
    """A name that only models of the same content have."""
    digest = hashlib.sha256(config.SerializeToString(deterministic=True))
    for file in sorted((repository / config.name).glob("[0-9]*/*")):
        digest.update(file.read_bytes())
    return f"{config.name}_{digest.hexdigest()[:8]}"
