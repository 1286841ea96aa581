"""The served chain of `sightline export`'s gate: a real Triton that loads the very models that would be installed."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from sightline.contract import ONNX_BACKEND, EngineInfo, network_name
from sightline.errors import ImageError, ModelLoadError, SightlineError, VerificationError

if TYPE_CHECKING:
    from tritonclient.grpc import InferenceServerClient
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    from sightline.detections import Detections
    from sightline_server.launcher import EmbeddedServer

_LOADING_SECONDS = 1800.0
_TIMEOUT_SECONDS = 600.0
"""Nothing is warmed up, so that the first batch waits until the network is compiled."""


class EmbeddedChain:
    """Serves candidates with an embedded Triton, one after another.

    Each candidate gets a server of its own on free ports, unless a running one is given. Its models are those of the
    export but for their configuration: one instance of each, as there is one client, and no warm-up.

    Args:
        server: a running server to use instead, which must allow model control. Candidates join its repository under
            names of their own and leave it again.

    Raises:
        MissingDependencyError: this machine cannot run an embedded Triton, or a package is not installed.
    """

    def __init__(self, server: EmbeddedServer | None = None) -> None:
        from sightline_server.locate import locate_triton

        locate_triton()
        self._server = server
        self._shared: set[str] = set()
        self._engine: EngineInfo | None = None

    def __enter__(self) -> EmbeddedChain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def engine(self) -> EngineInfo | None:
        """What ran the last candidate's network."""
        return self._engine

    def close(self) -> None:
        """Leave the server that was given as it was."""
        if self._server is not None and self._shared:
            with _model_control(self._server) as control:
                for name in sorted(self._shared):
                    _remove(control, self._server.options.repository, name)
        self._shared.clear()

    def detect(
        self, repository: Path, name: str, files: Mapping[str, bytes], *, score_threshold: float
    ) -> dict[str, Detections | ImageError]:
        """What the detector `name` of a repository finds in image files, or why it refuses one, by the files' names.

        Args:
            repository: folder of models; nothing is changed in it.
            name: the detector's name.
            files: whole image files, read one after another.
            score_threshold: lowest score, 0 to 1.

        Raises:
            VerificationError: a model does not load, or fails.
            LaunchError: the server does not start, for another reason.
        """
        with self._serving(repository, name) as (server, served_as):
            found = _stream(server.grpc_url, served_as, files, score_threshold=score_threshold)
            self._engine = server.engines().get(network_name(served_as))
        return found

    @contextmanager
    def _serving(self, repository: Path, name: str) -> Iterator[tuple[EmbeddedServer, str]]:
        """A server with the detector, and its name there."""
        serving = self._serving_alone(repository, name) if self._server is None else self._joining(repository, name)
        with serving as served:
            yield served

    @contextmanager
    def _serving_alone(self, repository: Path, name: str) -> Iterator[tuple[EmbeddedServer, str]]:
        """Without model control, through which whoever reaches the port could run code."""
        from sightline_server.launcher import EmbeddedServer, ServerOptions

        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sightline-gate-")))
            for part in _parts(repository, name):
                _copy_model(repository / part.name, folder / part.name, part.config)
            options = ServerOptions(
                repository=folder, grpc_port=0, http_port=0, metrics_port=0, ready_timeout_seconds=_LOADING_SECONDS
            )
            try:
                server = stack.enter_context(EmbeddedServer(options))
            except ModelLoadError as error:
                raise VerificationError(f"the served chain does not load: {error}") from error
            yield server, name

    @contextmanager
    def _joining(self, repository: Path, name: str) -> Iterator[tuple[EmbeddedServer, str]]:
        """The running server loads the detector under a name of its own; a preprocessing stays for the next one."""
        assert self._server is not None
        folder = self._server.options.repository
        served_as = f"candidate_{secrets.token_hex(4)}"
        parts = _parts(repository, name)
        names = {name: served_as, network_name(name): network_name(served_as)}
        names |= {part.name: part.shared_name(repository) for part in parts if part.name not in names}
        own = [names[part.name] for part in parts if part.name in (name, network_name(name))]
        with _model_control(self._server) as control:
            try:
                for part in parts:
                    target = folder / names[part.name]
                    if not target.exists():
                        part.rename(names)
                        _copy_model(repository / part.name, target, part.config)
                self._shared |= {*names.values()} - {*own}
                _load(control, served_as)
                yield self._server, served_as
            finally:
                for each in own:
                    _remove(control, folder, each)


@dataclass(frozen=True)
class _Part:
    """One of the models that make a detector, and how it is configured here."""

    name: str
    config: ModelConfig

    def rename(self, names: Mapping[str, str]) -> None:
        """Give this model and those that it refers to their names here."""
        self.config.name = names[self.name]
        for step in self.config.ensemble_scheduling.step:
            step.model_name = names[step.model_name]

    def shared_name(self, repository: Path) -> str:
        """A name that only models of the same content have."""
        digest = hashlib.sha256(self.config.SerializeToString(deterministic=True))
        for file in sorted((repository / self.name).glob("[0-9]*/*")):
            digest.update(file.read_bytes())
        return f"{self.name}_{digest.hexdigest()[:8]}"


def _parts(repository: Path, name: str) -> list[_Part]:
    """The detector's models, what others depend on first."""
    from sightline_export.config import CONFIG_FILE, parse

    ensemble = parse((repository / name / CONFIG_FILE).read_text(encoding="utf-8"))
    steps = [step.model_name for step in ensemble.ensemble_scheduling.step]
    parts = []
    for part in (*steps, name):
        config = parse((repository / part / CONFIG_FILE).read_text(encoding="utf-8"))
        config.ClearField("model_warmup")
        if config.backend == ONNX_BACKEND:
            config.instance_group[0].count = 1
        parts.append(_Part(part, config))
    return parts


def _copy_model(source: Path, target: Path, config: ModelConfig) -> None:
    """The model's files, with another configuration; they take no room where both places are on one file system."""
    from sightline_export.config import CONFIG_FILE, render

    versions = shutil.ignore_patterns(CONFIG_FILE, "warmup")
    shutil.copytree(source, target, ignore=versions, copy_function=_link)
    (target / CONFIG_FILE).write_text(render(config), encoding="utf-8")


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


@contextmanager
def _model_control(server: EmbeddedServer) -> Iterator[InferenceServerClient]:
    from tritonclient.grpc import InferenceServerClient

    with InferenceServerClient(server.grpc_url) as client:
        yield client


def _load(control: InferenceServerClient, name: str) -> None:
    from tritonclient.utils import InferenceServerException

    try:
        control.load_model(name)
    except InferenceServerException as error:
        raise VerificationError(f"the served chain does not load: {error.message()}") from error


def _remove(control: InferenceServerClient, repository: Path, name: str) -> None:
    """Nothing is said about a model that had not loaded."""
    control.unload_model(name)
    shutil.rmtree(repository / name, ignore_errors=True)


def _stream(
    url: str, model: str, files: Mapping[str, bytes], *, score_threshold: float
) -> dict[str, Detections | ImageError]:
    from sightline.client import Client, ClientOptions
    from sightline.images import EncodedImage

    # The server has the detector's own limit on pixels, which may be above the client's.
    options = ClientOptions(timeout_seconds=_TIMEOUT_SECONDS, max_pixels=sys.maxsize)
    found: dict[str, Detections | ImageError] = {}
    with Client(url, model=model, options=options) as client:
        images = (EncodedImage(name, data) for name, data in files.items())
        for result in client.stream(images, score_threshold=score_threshold):
            found[str(result.source)] = _answer(result.detections, result.error, str(result.source))
    return found


def _answer(detections: Detections | None, error: SightlineError | None, name: str) -> Detections | ImageError:
    if isinstance(error, ImageError):
        return error
    if error is not None:
        raise VerificationError(f"the served chain fails on {name}: {error}") from error
    assert detections is not None
    return detections
