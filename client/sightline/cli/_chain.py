"""The served chain of `sightline export`'s gate: a real Triton that loads the very models that would be installed."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.contract import ONNX_BACKEND, PRECISION_PARAMETER, EngineInfo, network_name
from sightline.errors import ImageError, ModelLoadError, SightlineError, VerificationError

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    from sightline.detections import Detections
    from sightline_server.launcher import EmbeddedServer

_LOADING_SECONDS = 1800.0
_TIMEOUT_SECONDS = 600.0
"""Nothing is warmed up, so that the first batch waits until the network is compiled."""


class EmbeddedChain:
    """Serves new detectors with an embedded Triton: each with one of its own, on free ports.

    Its models are those of the export but for their configuration: one instance of each, as there is one client, and no
    warm-up. There is no model control, through which whoever reaches the port could run code.

    Raises:
        MissingDependencyError: this machine cannot run an embedded Triton, or a package is not installed.
    """

    def __init__(self) -> None:
        from sightline_server.locate import locate_triton

        locate_triton()

    @contextmanager
    def serve(self, repository: Path, name: str) -> Iterator[Served]:
        """The detector `name` of a repository, in which nothing is changed, until the end of the context.

        Raises:
            VerificationError: a model does not load.
            LaunchError: the server does not start, for another reason.
        """
        from sightline_server.launcher import EmbeddedServer, ServerOptions

        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sightline-gate-")))
            parts = parts_of(repository, name)
            for part in parts:
                copy_model(repository / part.name, folder / part.name, part)
            options = ServerOptions(
                repository=folder,
                grpc_port=0,
                http_port=0,
                metrics_port=0,
                # In the precision that is asked for: those for CPUs are not to be had on a GPU, and fp16 only there.
                use_gpus=_asked_precision(parts) == "fp16",
                ready_timeout_seconds=_LOADING_SECONDS,
            )
            try:
                server = stack.enter_context(EmbeddedServer(options))
            except ModelLoadError as error:
                raise VerificationError(f"the served chain does not load: {error}") from error
            yield Served(server, name)


@dataclass(frozen=True)
class Served:
    """A detector that an embedded Triton serves under the name `model`."""

    server: EmbeddedServer
    model: str

    @property
    def engine(self) -> EngineInfo | None:
        """What runs its network."""
        return self.server.engines().get(network_name(self.model))

    def detect(self, files: Mapping[str, bytes], *, score_threshold: float) -> dict[str, Detections | ImageError]:
        """What it finds in image files, or why it refuses one, by the files' names.

        Args:
            files: whole image files, read one after another.
            score_threshold: lowest score, 0 to 1.

        Raises:
            VerificationError: a model fails.
        """
        from sightline.client import Client, ClientOptions
        from sightline.images import EncodedImage

        # The server has the detector's own limit on pixels, which may be above the client's.
        options = ClientOptions(timeout_seconds=_TIMEOUT_SECONDS, max_pixels=sys.maxsize)
        found: dict[str, Detections | ImageError] = {}
        with Client(self.server.grpc_url, model=self.model, options=options) as client:
            images = (EncodedImage(name, data) for name, data in files.items())
            for result in client.stream(images, score_threshold=score_threshold):
                found[str(result.source)] = _answer(result.detections, result.error, str(result.source))
        return found


def parts_of(repository: Path, name: str) -> list[ModelConfig]:
    """How the detector's models are configured here, what others depend on first."""
    from sightline_export.config import CONFIG_FILE, parse

    ensemble = parse((repository / name / CONFIG_FILE).read_text(encoding="utf-8"))
    steps = [step.model_name for step in ensemble.ensemble_scheduling.step]
    configs = []
    for part in (*steps, name):
        config = parse((repository / part / CONFIG_FILE).read_text(encoding="utf-8"))
        config.ClearField("model_warmup")
        if config.backend == ONNX_BACKEND:
            config.instance_group[0].count = 1
        configs.append(config)
    return configs


def _asked_precision(parts: list[ModelConfig]) -> str:
    """Of the detector, which stands last."""
    asked: str = parts[-1].parameters[PRECISION_PARAMETER].string_value
    return asked


def copy_model(source: Path, target: Path, config: ModelConfig) -> None:
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


def _answer(detections: Detections | None, error: SightlineError | None, name: str) -> Detections | ImageError:
    if isinstance(error, ImageError):
        return error
    if error is not None:
        raise VerificationError(f"the served chain fails on {name}: {error}") from error
    assert detections is not None
    return detections
