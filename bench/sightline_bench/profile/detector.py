"""The detector that is profiled, as it lies in a model repository."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from sightline.contract import (
    DALI_FILE,
    DEFAULT_SCORE_THRESHOLD,
    MODEL_VERSION,
    ORIGINAL_SHAPE,
    SCORE_THRESHOLD,
    network_name,
)
from sightline.detector_info import DetectorInfo
from sightline.errors import CorruptImageError, ExportError, InvalidOptionError
from sightline_export.cost import Cost, NodeCost, node_costs, parameter_count
from sightline_export.graph.take_apart import take_apart
from sightline_export.pictures import preprocess
from sightline_export.sample import SampleFiles, first_pictures, open_sample
from sightline_export.tensorrt.sources import find_sources

_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_MOST_PICTURES = 16
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Detector:
    """A detector and its files.

    Attributes:
        repository: folder of models.
        name: the detector's.
        info: what it tells about itself.
        network: its ONNX graph, with front and head.
    """

    repository: Path
    name: str
    info: DetectorInfo
    network: Path

    @property
    def network_model(self) -> str:
        """Name of the model that runs the graph."""
        return network_name(self.name)

    @property
    def preprocessing_model(self) -> str:
        """Name of the model that decodes and resizes."""
        return self.info.preprocessing.model_name

    @property
    def pipeline(self) -> Path:
        """The `dali.py` of that model."""
        return self.repository / self.preprocessing_model / str(MODEL_VERSION) / DALI_FILE


@dataclass(frozen=True)
class Counted:
    """What a detector's graph holds.

    Attributes:
        cost: parameters, and floating-point operations for one picture.
        nodes: the operations one by one.
        node_count: operators of the graph, of any sort.
    """

    cost: Cost
    nodes: tuple[NodeCost, ...]
    node_count: int


def find_detector(repository: Path, name: str) -> Detector:
    """A detector of a repository.

    Raises:
        InvalidOptionError: there is none of that name.
        ExportError: a configuration cannot be read.
    """
    (found,) = find_sources(repository, [name])
    return Detector(repository, name, found.info, found.onnx)


def count(detector: Detector, inputs: Arrays) -> Counted:
    """Count the operations of one picture as the graph runs.

    Raises:
        VerificationError: ONNX Runtime cannot run it.
    """
    graph = onnx.load(detector.network)
    first = [inputs[value.name][:1] for value in graph.graph.input]
    nodes = tuple(node_costs(graph, first))
    cost = Cost(parameters=parameter_count(graph), flops=sum(node.flops for node in nodes))
    return Counted(cost, nodes, len(graph.graph.node))


@contextmanager
def without_head(detector: Detector) -> Iterator[tuple[Path | None, str]]:
    """A file with the graph without decoding, suppression and the way back to original pixels, or why there is none."""
    with tempfile.TemporaryDirectory(prefix="sightline-profile-") as folder:
        file = Path(folder) / "network.onnx"
        try:
            onnx.save(take_apart(onnx.load(detector.network)).before_back, file)
        except ExportError as error:
            yield None, str(error)
            return
        yield file, ""


def picture_files(folder: Path | None) -> SampleFiles:
    """Image files of a folder, by their endings; without one, the pictures that come with Sightline.

    Raises:
        InvalidOptionError: there are none.
    """
    files = open_sample(folder)
    names = tuple(name for name in files.names if name.lower().endswith(_IMAGE_ENDINGS))
    if not names:
        raise InvalidOptionError(f"{files.folder} holds no picture ({', '.join(_IMAGE_ENDINGS)}); choose another")
    return files.only(names)


def network_rows(detector: Detector, files: SampleFiles) -> Arrays:
    """Inputs of the network, one row a picture, of up to 16 pictures that are brought to one size.

    Raises:
        CorruptImageError: none can be decoded.
    """
    before = detector.info.preprocessing
    pictures = first_pictures(files, _MOST_PICTURES)
    if not pictures:
        raise CorruptImageError(f"none of the {len(files)} pictures in {files.folder} can be decoded")
    ready = [preprocess(picture, before) for picture in pictures]
    alike = [index for index, each in enumerate(ready) if each.shape == ready[0].shape]
    return {
        before.images.name: np.stack([ready[index] for index in alike]),
        ORIGINAL_SHAPE.name: np.array([pictures[index].shape for index in alike], np.int64),
        SCORE_THRESHOLD.name: np.full((len(alike), 1), DEFAULT_SCORE_THRESHOLD, np.float32),
    }
