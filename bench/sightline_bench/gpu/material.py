"""Detectors and photos for a measurement, in a folder that can be made on one machine and carried to another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sightline.contract import ExportPrecision
from sightline.errors import InvalidOptionError
from sightline_bench.gpu.plan import PhotoSize
from sightline_bench.gpu.survey import Place
from sightline_bench.material.exports import export_detector
from sightline_bench.material.photos import find_images, photos_of_size
from sightline_bench.material.weights import ARCHITECTURES, find_weights
from sightline_bench.material.workshop import Workshop
from sightline_export.sample import BUNDLED_FOLDER

_LIST = "material.json"
_REPOSITORY = "repository"
_COCO_HW, _1080P_HW = (480, 640), (1080, 1920)
_PHOTOS = 64
PRECISIONS: Mapping[Place, ExportPrecision] = {"gpu": "fp16", "cpu": "fp32"}
"""What a detector is exported in: on a GPU as `sightline export --precision fp16` does, with the static suppression."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A detector.

    Attributes:
        name: its name.
        repository: folder that holds it with its parts.
        precision: of its network.
        note: what there is to say about its weights; empty where they are the official ones.
    """

    name: str
    repository: Path
    precision: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Photos:
    """JPEGs of one size.

    Attributes:
        title: what they are.
        files: in order.
    """

    title: str
    files: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Material:
    """All that is worked on."""

    models: Mapping[str, Model]
    photos: Mapping[PhotoSize, Photos]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What material is made of.

    Attributes:
        images: a folder of photos of COCO's size; None takes the bundled pictures, brought to it.
        weights: a folder of checkpoints; where it lacks one, the network has random weights.
        repository: where the detectors are, exported already; None exports them.
    """

    images: Path | None = None
    weights: Path | None = None
    repository: Path | None = None


def make_material(workshop: Workshop, sources: Sources, models: Sequence[str], place: Place) -> Material:
    """Make it, or take it from the working folder.

    Raises:
        SightlineError: something cannot be made.
    """
    made = {name: _model(workshop, sources, name, PRECISIONS[place]) for name in models}
    given = find_images(sources.images or BUNDLED_FOLDER)
    if sources.images is None:
        coco = photos_of_size(workshop, given, _PHOTOS, size_hw=_COCO_HW)
        title = f"{len(coco)} bundled pictures at 640 x 480"
    else:
        coco = list(given[:_PHOTOS])
        title = f"{len(coco)} pictures of {sources.images.name}"
    large = photos_of_size(workshop, given, _PHOTOS, size_hw=_1080P_HW)
    return Material(
        models=made,
        photos={
            "coco": Photos(title=title, files=tuple(coco)),
            "1080p": Photos(title=f"{len(large)} of them at 1920 x 1080", files=tuple(large)),
        },
    )


def _model(workshop: Workshop, sources: Sources, name: str, precision: ExportPrecision) -> Model:
    if sources.repository is not None:
        if not (sources.repository / name).is_dir():
            raise InvalidOptionError(f"there is no {name} in {sources.repository}")
        return Model(name=name, repository=sources.repository.resolve(), precision="as exported")
    given = sources.weights is not None and (sources.weights / f"{name}.pt").is_file()
    if not given and name not in ARCHITECTURES:
        raise InvalidOptionError(
            f"there is no {name}.pt in --weights; without one, {', '.join(ARCHITECTURES)} are known"
        )
    weights = find_weights(name, sources.weights, workshop)
    exported = export_detector(workshop, weights, precision)
    return Model(name=exported.model, repository=exported.repository, precision=precision, note=weights.note)


def pack(material: Material, folder: Path) -> None:
    """Write it into a folder that `unpack` reads on whichever machine.

    Raises:
        InvalidOptionError: the folder is there already.
    """
    if folder.exists():
        raise InvalidOptionError(f"{folder} is there already: name a folder that is not")
    models = []
    for model in material.models.values():
        shutil.copytree(model.repository, folder / model.name / _REPOSITORY)
        models.append({**asdict(model), "repository": f"{model.name}/{_REPOSITORY}"})
    photos = {}
    for size, each in material.photos.items():
        (folder / size).mkdir(parents=True)
        for number, file in enumerate(each.files):
            shutil.copy(file, folder / size / f"{number:04}{file.suffix}")
        photos[size] = each.title
    text = json.dumps({"models": models, "photos": photos}, indent=1)
    (folder / _LIST).write_text(text + "\n", encoding="utf-8")


def unpack(folder: Path, models: Sequence[str]) -> Material:
    """What `pack` wrote.

    Raises:
        InvalidOptionError: it is no such folder, or lacks a detector.
    """
    try:
        content = json.loads((folder / _LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidOptionError(f"{folder} is no folder of `bench/gpu.sh --prepare`: {error}") from error
    there = {
        each["name"]: Model(**{**each, "repository": (folder / each["repository"]).resolve()})
        for each in content["models"]
    }
    if missing := [name for name in models if name not in there]:
        raise InvalidOptionError(f"{folder} has no {', '.join(missing)}; it has {', '.join(there)}")
    photos = {size: Photos(title=title, files=find_images(folder / size)) for size, title in content["photos"].items()}
    return Material(models={name: there[name] for name in models}, photos=photos)
