"""What a server serves: every detector with its classes, sizes and engine, every group, and what is not ready."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tritonclient.grpc import model_config_pb2, service_pb2

from sightline._channel import READY, Channel
from sightline._model import ServedDetector, ServedGroup, read_served
from sightline._options import DEFAULT_URL
from sightline._transport import UnaryTransport
from sightline.access import PLAIN, Access
from sightline.contract import (
    ENGINES_MODEL,
    NETWORK_SUFFIX,
    PREPROCESSING_PREFIXES,
    EngineInfo,
    TensorSpec,
    ensemble_inputs,
    network_name,
    parse_engines,
)
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError, ModelNotFoundError
from sightline.groups import preprocessings

_HIDDEN = "_"
_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """One model of a server.

    Attributes:
        name: its name.
        ready: whether it takes requests.
        reason: why it is not ready, or why it is not a Sightline detector; empty otherwise.
        detector: what the detector tells about itself; None where there is a reason.
        inputs: what a request must hold.
        max_batch_size: images that one request may hold; 0 where unknown.
        backend: Triton's name of what runs the network.
        engine: what really runs it behind a stand-in backend; None where the backend is Triton's own.
        members: of a group, its members, in its order; each is served under its own name too only where it is listed.
        decoders: of a group, the preprocessing models that decode for it.
    """

    name: str
    ready: bool
    reason: str = ""
    detector: DetectorInfo | None = None
    inputs: tuple[TensorSpec, ...] = ()
    max_batch_size: int = 0
    backend: str = ""
    engine: EngineInfo | None = None
    members: tuple[ServedModel, ...] = ()
    decoders: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether clients can use it: a detector or a group that is ready."""
        return self.detector is not None or bool(self.members)


def list_served(
    url: str = DEFAULT_URL, *, access: Access = PLAIN, timeout_seconds: float = _TIMEOUT_SECONDS
) -> list[ServedModel]:
    """Detectors, groups, models that are not ready or of other kinds, by name; a detector's own parts are left out.

    A server whose repository is for its administrator only tells what is ready and nothing else.

    Args:
        url: `HOST:PORT` of Triton's gRPC service.
        access: encryption and token; without, neither.
        timeout_seconds: longest wait for each answer.

    Raises:
        InvalidOptionError: the URL is not of that form, or a token would travel unencrypted.
        PermissionDeniedError: the server tells only those who hold its admin key.
        ServerError: no answer, or the server does not tell.
    """
    return _Listing(Channel(url, access=access), timeout_seconds).read()


class _Listing:
    def __init__(self, channel: Channel, timeout_seconds: float) -> None:
        self._channel = channel
        self._timeout_seconds = timeout_seconds

    def read(self) -> list[ServedModel]:
        try:
            index = self._channel.model_index(timeout_seconds=self._timeout_seconds)
            entries = {entry.name: entry for entry in sorted(index, key=lambda entry: str(entry.state == READY))}
            self._engines = self._read_engines()
            return [self._describe(entries[name]) for name in sorted(entries) if _is_shown(entries[name])]
        finally:
            self._channel.close()

    def _read_engines(self) -> dict[str, EngineInfo]:
        """Empty for a server with native backends, which needs no such model."""
        request = service_pb2.ModelInferRequest(model_name=ENGINES_MODEL).SerializeToString()
        try:
            answer = UnaryTransport(self._channel).infer(request, request_id="", timeout_seconds=self._timeout_seconds)
        except ModelNotFoundError:
            return {}
        return parse_engines(answer.raw_output_contents[0])

    def _describe(self, entry: Any) -> ServedModel:
        name: str = entry.name
        if entry.state != READY:
            return ServedModel(name=name, ready=False, reason=entry.reason or entry.state.lower() or "not loaded")
        try:
            config = self._config(name)
            served = read_served(config, self._config)
            if isinstance(served, ServedGroup):
                return self._group(served)
            return self._detector(name, served, self._network_config(config).backend)
        except ModelNotFoundError as error:  # unloaded meanwhile
            return ServedModel(name=name, ready=False, reason=str(error))
        except ContractMismatchError as error:
            return ServedModel(name=name, ready=True, reason=str(error), backend=config.backend)

    def _group(self, served: ServedGroup) -> ServedModel:
        members = (
            self._detector(
                name, ServedDetector(name, info, served.max_batch_size), self._config(network_name(name)).backend
            )
            for name, info in served.members.items()
        )
        return ServedModel(
            name=served.name,
            ready=True,
            inputs=ensemble_inputs(),
            max_batch_size=served.max_batch_size,
            members=tuple(members),
            decoders=tuple(way.model_name for way in preprocessings(served.members)),
        )

    def _detector(self, name: str, served: ServedDetector, backend: str) -> ServedModel:
        return ServedModel(
            name=name,
            ready=True,
            detector=served.info,
            inputs=ensemble_inputs(),
            max_batch_size=served.max_batch_size,
            backend=backend,
            engine=self._engines.get(network_name(name)),
        )

    def _config(self, name: str) -> model_config_pb2.ModelConfig:
        return self._channel.model_config(name, timeout_seconds=self._timeout_seconds)

    def _network_config(self, config: model_config_pb2.ModelConfig) -> model_config_pb2.ModelConfig:
        """The configuration of the step that runs the network; the model's own where it has no steps."""
        network = network_name(config.name)
        steps = {step.model_name for step in config.ensemble_scheduling.step}
        return self._config(network) if network in steps else config


def _is_shown(entry: Any) -> bool:
    if entry.name.startswith(_HIDDEN):
        return False
    is_part = entry.name.startswith(PREPROCESSING_PREFIXES) or entry.name.endswith(NETWORK_SUFFIX)
    return not (is_part and entry.state == READY)
