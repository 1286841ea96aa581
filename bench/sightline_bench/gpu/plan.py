"""What is to be measured: every variant of engine, decoder and letterbox, and every way to serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sightline.errors import InvalidOptionError
from sightline_bench.gpu.survey import DALI, ENGINE, TENSORRT, TRITON, Survey

DEVICE = 0
"""Number of the GPU that is measured, as `CUDA_VISIBLE_DEVICES` leaves them."""
BATCHES = (1, 2, 4, 8, 16, 32, 64)
MODELS = ("yolov8n", "yolov8m")
REQUEST_BATCHES = (1, 8, 16, 64)
STREAMS = (1, 2)
"""Threads that each work with an engine or a decoder of their own: a second one hides what a first waits for."""
HARDWARE_LOADS = (1.0, 0.65, 0.0)
"""Shares of a batch for the hardware JPEG decoder, where there is one: as served, DALI's former default, and none."""
PhotoSize = Literal["coco", "1080p"]
PHOTO_SIZES: tuple[PhotoSize, ...] = ("coco", "1080p")
EngineName = Literal["onnxruntime", "tensorrt"]


@dataclass(frozen=True, kw_only=True)
class EngineAlone:
    """A network on pictures that lie ready where it computes.

    Attributes:
        model: the detector.
        engine: what computes.
        suppression: whether decoding of boxes, suppression and the way back to original pixels run behind it.
        cuda_graph: whether a run is one launch of a graph that was captured before.
        batch: pictures in a run.
        streams: engines side by side.
    """

    model: str
    engine: EngineName
    suppression: bool
    cuda_graph: bool
    batch: int
    streams: int = 1

    @property
    def name(self) -> str:
        """Unique, for people."""
        words = [self.model, self.engine, "with NMS" if self.suppression else "without NMS"]
        words += ["CUDA graph"] if self.cuda_graph else []
        return ", ".join([*words, *_size(self.batch, self.streams)])


@dataclass(frozen=True, kw_only=True)
class DecoderAlone:
    """DALI's decoder, from bytes in the host's memory to RGB where it decodes.

    Attributes:
        photos: of which size.
        batch: photos in a run.
        streams: decoders side by side.
        hardware_load: share of a batch for the hardware decoder.
    """

    photos: PhotoSize
    batch: int
    streams: int = 1
    hardware_load: float = HARDWARE_LOADS[0]

    @property
    def name(self) -> str:
        """Unique, for people."""
        words = [f"decode {self.photos}", *_size(self.batch, self.streams)]
        return ", ".join([*words, f"hardware {self.hardware_load:g}"])


@dataclass(frozen=True, kw_only=True)
class LetterboxAlone:
    """The whole first step: decoder and letterbox, as it is served. The letterbox is what it takes beyond the decoder.

    Attributes:
        photos: of which size.
        batch: photos in a run.
        streams: pipelines side by side.
    """

    photos: PhotoSize
    batch: int
    streams: int = 1

    @property
    def name(self) -> str:
        """Unique, for people."""
        return ", ".join([f"decode and letterbox {self.photos}", *_size(self.batch, self.streams)])


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """How a detector is served.

    Attributes:
        max_batch: largest batch of every step.
        decoders: instances of the first step.
        networks: instances of the network.
    """

    max_batch: int
    decoders: int
    networks: int

    @property
    def name(self) -> str:
        """As `parse_arrangement` takes it."""
        return f"{self.max_batch}x{self.decoders}x{self.networks}"


ARRANGEMENTS = (Arrangement(max_batch=16, decoders=1, networks=2), Arrangement(max_batch=64, decoders=2, networks=2))
"""The first is what `sightline export` writes."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A detector served, with clients that stream to it.

    Attributes:
        model: the detector.
        photos: of which size.
        arrangement: how it is served.
        batch: photos in a request.
        clients: processes that send.
    """

    model: str
    photos: PhotoSize
    arrangement: Arrangement
    batch: int
    clients: int

    @property
    def name(self) -> str:
        """Unique, for people."""
        served = f"served {self.model} {self.photos}, arranged {self.arrangement.name}"
        return f"{served}, {self.clients} clients, batch {self.batch}"


Alone = EngineAlone | DecoderAlone | LetterboxAlone


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a run is asked for.

    Attributes:
        models: detectors.
        photos: sizes of photos.
        batches: of engine, decoder and letterbox, ascending.
        request_batches: photos in a request, ascending.
        arrangements: the first is the product's own.
        clients: processes that send.
    """

    models: tuple[str, ...] = MODELS
    photos: tuple[PhotoSize, ...] = PHOTO_SIZES
    batches: tuple[int, ...] = BATCHES
    request_batches: tuple[int, ...] = REQUEST_BATCHES
    arrangements: tuple[Arrangement, ...] = ARRANGEMENTS
    clients: int = 4


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        alone: everything without a server.
        chains: everything with one.
        left_out: why each other thing is not measured.
    """

    alone: tuple[Alone, ...]
    chains: tuple[Chain, ...]
    left_out: tuple[str, ...]


def make_plan(choices: Choices, found: Survey) -> Plan:
    """Everything that can be measured with what there is."""
    left_out: list[str] = []
    alone: list[Alone] = []
    for model in choices.models:
        alone += _engines(model, choices.batches, found, left_out)
    if DALI in found.lacks:
        left_out.append(f"decoder and letterbox alone, and whatever is served: {found.lacks[DALI]}")
    else:
        alone += _decoders(choices, on_gpu=found.place == "gpu")
    return Plan(alone=tuple(alone), chains=_chains(choices, found, left_out), left_out=tuple(dict.fromkeys(left_out)))


def parse_arrangement(text: str) -> Arrangement:
    """`BATCHxDECODERSxNETWORKS`, such as 16x1x2.

    Raises:
        InvalidOptionError: it is no such text.
    """
    parts = text.split("x")
    if len(parts) != 3 or not all(part.isdigit() and int(part) for part in parts):
        raise InvalidOptionError(
            f"arrangement {text!r}; it is BATCHxDECODERSxNETWORKS, such as 16x1x2: the largest batch, and how many "
            "instances of the decoder and of the network there are"
        )
    max_batch, decoders, networks = map(int, parts)
    return Arrangement(max_batch=max_batch, decoders=decoders, networks=networks)


def parse_numbers(text: str) -> tuple[int, ...]:
    """Numbers with commas between them, ascending and each once.

    Raises:
        InvalidOptionError: it is no such text.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) for part in parts):
        raise InvalidOptionError(f"{text!r} are no numbers from 1 on with commas between them, such as 1,8,64")
    return tuple(sorted({int(part) for part in parts}))


def _engines(model: str, batches: Sequence[int], found: Survey, left_out: list[str]) -> list[Alone]:
    variants = _engine_variants(found, left_out)
    return [
        EngineAlone(
            model=model, engine=engine, suppression=suppression, cuda_graph=captured, batch=batch, streams=streams
        )
        for engine, suppression, captured, streams in variants
        for batch in batches
    ]


def _engine_variants(found: Survey, left_out: list[str]) -> list[tuple[EngineName, bool, bool, int]]:
    """Engine, suppression, CUDA graph, streams."""
    variants: list[tuple[EngineName, bool, bool, int]] = []
    for engine, part in (("onnxruntime", ENGINE), ("tensorrt", TENSORRT)):
        name: EngineName = "onnxruntime" if engine == "onnxruntime" else "tensorrt"
        if part in found.lacks or (part == TENSORRT and found.place == "cpu"):
            left_out.append(f"{part} alone: {found.lacks.get(part, 'it computes on GPUs only')}")
            continue
        for suppression in (True, False):
            variants.append((name, suppression, False, 1))
            if found.place == "gpu":
                variants.append((name, suppression, True, 1))
        variants.append((name, True, False, STREAMS[-1]))
    if found.place == "cpu":
        left_out.append("CUDA graphs: this is a processor")
    return variants


def _decoders(choices: Choices, *, on_gpu: bool) -> list[Alone]:
    made: list[Alone] = []
    for photos in choices.photos:
        for batch in choices.batches:
            for load in HARDWARE_LOADS if on_gpu else HARDWARE_LOADS[:1]:
                made += [
                    DecoderAlone(photos=photos, batch=batch, streams=streams, hardware_load=load) for streams in STREAMS
                ]
            made.append(LetterboxAlone(photos=photos, batch=batch))
    return made


def _chains(choices: Choices, found: Survey, left_out: list[str]) -> tuple[Chain, ...]:
    if DALI in found.lacks or (ENGINE in found.lacks and TENSORRT in found.lacks):
        return ()
    if ENGINE in found.lacks:
        left_out.append(f"whatever is served: {found.lacks[ENGINE]}")
        return ()
    if TRITON in found.lacks:
        left_out.append(f"whatever is served: {found.lacks[TRITON]}")
        return ()
    return tuple(
        Chain(model=model, photos=photos, arrangement=arrangement, batch=batch, clients=choices.clients)
        for model in choices.models
        for photos in choices.photos
        for arrangement in choices.arrangements
        for batch in choices.request_batches
        if batch <= arrangement.max_batch
    )


def _size(batch: int, streams: int) -> list[str]:
    return [f"batch {batch}"] + ([f"{streams} streams"] if streams > 1 else [])
