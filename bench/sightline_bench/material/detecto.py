"""A checkpoint of Detecto's own: the network that it has by default, with random weights."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import MeasurementError
from sightline_bench.material.exports import Exported, install
from sightline_bench.material.workshop import Workshop, digest_of_export, digest_of_file, versions_of
from sightline_export.options import ExportOptions

_FILE = "detecto.pth"


@dataclass(frozen=True)
class DetectoMaterial:
    """A checkpoint, and what else Detecto needs to read it.

    Attributes:
        file: as `Model.save` wrote it.
        classes: its class names.
        torch_home: where torchvision finds the weights that Detecto begins with, instead of downloading them.
    """

    file: Path
    classes: tuple[str, ...]
    torch_home: Path


def make_detecto(workshop: Workshop) -> DetectoMaterial:
    """Make it.

    Raises:
        MeasurementError: Detecto is not installed.
    """
    if importlib.util.find_spec("detecto") is None:
        raise MeasurementError("Detecto is not installed: `pip install detecto`, or `make install` in a checkout")
    from sightline_bench import detecto_example

    made_of = [digest_of_file(Path(detecto_example.__file__)), versions_of("torch", "torchvision", "detecto")]
    place = workshop.once("detecto", of=made_of, make=_write)
    return DetectoMaterial(place / _FILE, detecto_example.CLASSES, place / "torch")


def export_detecto(workshop: Workshop, material: DetectoMaterial) -> Exported:
    """The detector `detecto`, as Sightline serves it.

    Raises:
        SightlineError: the export failed.
    """

    def export(folder: Path) -> None:
        options = ExportOptions(family="detecto", classes=material.classes)
        install(material.file, folder / "repository", "detecto", options)

    place = workshop.once("detecto-fp32", of=[digest_of_file(material.file), digest_of_export()], make=export)
    return Exported(repository=place / "repository", model="detecto", precision="fp32")


def _write(folder: Path) -> None:
    from sightline_bench.detecto_example import untrained_detecto

    untrained_detecto(folder).save(str(folder / _FILE))
