"""Takes the time of a served picture apart: a real server, the real client, real writers, and the server's counters."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import tritonclient.grpc

from sightline import Client
from sightline.detections import Result
from sightline.errors import CorruptImageError, ImageError
from sightline.images import EncodedImage
from sightline.writers import Writer
from sightline_bench.measure.server_steps import StepCount, settled_steps, steps_after
from sightline_bench.profile.shares import Share

STAGES = ("read", "decode", "letterbox", "network", "NMS", "Triton", "transport", "write")
"""Of one picture that is served alone, in milliseconds each; together they are the whole time.

`Triton` is waiting in queues and copying tensors to the models' processes; `transport` is what else the client waits
for: packing, gRPC, HTTP/2 and the loopback both ways, the ensemble's scheduler, the network's answer, unpacking.
"""
Read = Callable[[Path], bytes]
_WARM = 3


@dataclass(frozen=True)
class Chain:
    """Which models answer.

    Attributes:
        url: `HOST:PORT` of the server's gRPC service.
        model: what clients ask.
        network: the model that runs the network; `model` itself where it is not an ensemble.
        preprocessing: the model that decodes and resizes; None where there is none.
        instances: processes of each model that computes.
        server_pid: process of the server.
    """

    url: str
    model: str
    network: str
    preprocessing: str | None
    instances: Mapping[str, int]
    server_pid: int

    @property
    def models(self) -> list[str]:
        """All of them, each once."""
        return list(dict.fromkeys(filter(None, (self.model, self.preprocessing, self.network))))


@dataclass(frozen=True)
class OneByOne:
    """Pictures that went through one after the other.

    Attributes:
        seconds: of each, from the open file to the written result.
        request_seconds: of each, as the client waits.
        read_seconds: the mean.
        write_seconds: the mean.
        counts: what the server counted meanwhile, by model.
    """

    seconds: tuple[float, ...]
    request_seconds: tuple[float, ...]
    read_seconds: float
    write_seconds: float
    counts: dict[str, StepCount] = field(compare=False)


def usable(chain: Chain, files: Sequence[Path]) -> list[Path]:
    """Those files that the server can decode; it is warm afterwards.

    Raises:
        CorruptImageError: there are none.
    """
    found = []
    with Client(chain.url, model=chain.model) as client:
        for file in files:
            try:
                client.detect(file)
            except ImageError:
                continue
            found.append(file)
    if not found:
        raise CorruptImageError(f"the server can decode none of the {len(files)} pictures, such as {files[0]}")
    return found


def one_by_one(
    chain: Chain, files: Sequence[Path], writers: Sequence[Writer], *, images: int, read: Read = Path.read_bytes
) -> OneByOne:
    """Send pictures one after the other, the next when the last is written.

    Args:
        chain: which models answer.
        files: image files that the server can decode; they are used in turn.
        writers: each writes every result at once, in this thread.
        images: how many.
        read: how a file is read.
    """
    whole, requests, reads, writes = [], [], 0.0, 0.0
    with ExitStack() as stack:
        client = stack.enter_context(Client(chain.url, model=chain.model))
        server = stack.enter_context(tritonclient.grpc.InferenceServerClient(chain.url))
        for file in files[:_WARM]:
            # Writers too load packages the first time.
            _one(client, file, writers, read)
        before = settled_steps(server, chain.models)
        for file in islice(cycle(files), images):
            times = _one(client, file, writers, read)
            whole.append(times[-1] - times[0])
            reads += times[1] - times[0]
            requests.append(times[2] - times[1])
            writes += times[3] - times[2]
        counts = steps_after(server, before, requests=images)
    return OneByOne(
        seconds=tuple(whole),
        request_seconds=tuple(requests),
        read_seconds=reads / images,
        write_seconds=writes / images,
        counts=counts,
    )


def _one(client: Client, file: Path, writers: Sequence[Writer], read: Read) -> list[float]:
    """Moments: begun, read, answered, written."""
    times = [time.perf_counter()]
    image = EncodedImage(file, read(file))
    times.append(time.perf_counter())
    found = client.detect(image)
    times.append(time.perf_counter())
    for writer in writers:
        writer.write(Result(file, found))
    times.append(time.perf_counter())
    return times


def stages(chain: Chain, taken: OneByOne, *, decode: Share, network: Share) -> dict[str, float]:
    """Mean milliseconds of each of `STAGES`; what could not be told apart stands in the first of the two.

    Args:
        chain: which models answered.
        taken: what they took.
        decode: what of the preprocessing is decoding.
        network: what of the network's model is the network without its head.
    """
    images = len(taken.seconds)
    net = taken.counts[chain.network]
    before = taken.counts[chain.preprocessing] if chain.preprocessing else None
    prepared = before.infer_seconds / images if before else 0.0
    computed = net.infer_seconds / images
    around = (net.queue_seconds + net.input_seconds) / images
    if before:
        around += (before.queue_seconds + before.input_seconds + before.output_seconds) / images
    requested = statistics.fmean(taken.request_seconds)
    decoded = prepared * (1.0 if decode.part is None else decode.part)
    inferred = computed * (1.0 if network.part is None else network.part)
    seconds = {
        "read": taken.read_seconds,
        "decode": decoded,
        "letterbox": prepared - decoded,
        "network": inferred,
        "NMS": computed - inferred,
        "Triton": around,
        # The server counts the network's output until after the client has it: so it is not taken from there.
        "transport": max(0.0, requested - prepared - computed - around),
        "write": taken.write_seconds,
    }
    return {name: 1000 * seconds[name] for name in STAGES}


def writers_for(formats: Sequence[str], folder: Path, base: Path) -> Iterator[Writer]:
    """A writer of each format."""
    from sightline.writers import AnnotatedWriter, JsonLinesWriter, YoloWriter

    for name in formats:
        if name == "jsonl":
            yield JsonLinesWriter(folder)
        elif name == "yolo":
            yield YoloWriter(folder, base=base)
        else:
            yield AnnotatedWriter(folder, base=base)
