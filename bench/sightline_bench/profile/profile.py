"""Everything that is known of a detector after it was profiled."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from sightline_bench.measure.machine import describe_commit, describe_machine, describe_versions
from sightline_bench.profile.detector import Counted, Detector, count, find_detector, network_rows, picture_files
from sightline_bench.profile.engines import EngineProcess, record_layers
from sightline_bench.profile.layer_tables import onnxruntime_table, openvino_table, read_trtexec_profile
from sightline_bench.profile.layers import LayerTable
from sightline_bench.profile.options import ProfileOptions
from sightline_bench.profile.served import Chain, OneByOne, one_by_one, stages, usable, writers_for
from sightline_bench.profile.shares import Share, decode_share, network_share
from sightline_bench.profile.stream import Streamed, stream
from sightline_bench.profile.sweep import BatchSweep, sweep
from sightline_bench.profile.variants import (
    Comparison,
    Measured,
    Progress,
    Subject,
    Variant,
    compare,
    first_that_runs,
    inputs_file,
    variants_of,
)
from sightline_export.config import CONFIG_FILE, parse
from sightline_export.sample import SampleFiles
from sightline_server.cpu import instance_count
from sightline_server.launcher import EmbeddedServer, ServerOptions

_READY_SECONDS = 900.0
_MOST_FILES = 100
_STREAMED = 2
"""Pictures in the stream, for each that goes through alone: several travel in one request."""
_TABLES = {"openvino": openvino_table, "onnxruntime": onnxruntime_table}


@dataclass(frozen=True, kw_only=True)
class Served:
    """A detector behind a server.

    Attributes:
        load_seconds: from starting the server until it is ready.
        engine: what runs the network there.
        formats: what was written.
        taken: pictures that went through one after the other.
        stages: mean milliseconds of each of `served.STAGES` for one of them.
        decode: how decoding and letterbox were told apart.
        network: how network and head were.
        streamed: pictures that were streamed.
    """

    load_seconds: float
    engine: str
    formats: tuple[str, ...]
    taken: OneByOne
    stages: Mapping[str, float]
    decode: Share
    network: Share
    streamed: Streamed


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Everything that is known of a detector after it was profiled.

    Attributes:
        detector: which.
        counted: what its graph holds.
        pictures: where the pictures came from.
        comparison: ways to run it, and the machine's peaks.
        batches: the first way with larger batches.
        tables: layers, by engine.
        served: behind a server.
        seconds: that all of this took.
        machine, versions, commit: on what.
    """

    detector: Detector
    counted: Counted
    pictures: str
    comparison: Comparison
    batches: BatchSweep
    tables: tuple[LayerTable, ...]
    served: Served
    seconds: float
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    commit: Mapping[str, Any]

    @property
    def main(self) -> Measured:
        """The detector as it is served."""
        return self.comparison.measured[0]


def profile(options: ProfileOptions, *, progress: Progress) -> Profile:
    """Measure everything, on the CPU.

    Args:
        options: what, and how long.
        progress: told what happens.

    Raises:
        InvalidOptionError: there is no such detector, picture or file.
        SightlineError: it cannot be run, or served.
    """
    started = time.monotonic()
    detector = find_detector(options.repository, options.model)
    others = [find_detector(options.repository, name) for name in options.beside]
    files = picture_files(options.images)
    progress(f"counting the operations of {detector.name}")
    rows = network_rows(detector, files)
    counted = count(detector, rows)
    trtexec = options.trtexec_profile
    plans = () if trtexec is None else (read_trtexec_profile(trtexec, counted.nodes, precision=_of_plan(detector)),)
    with ExitStack() as stack:
        found, lacking = variants_of(Subject(detector, counted, stack.enter_context(inputs_file(rows))))
        for other in others:
            theirs = network_rows(other, files)
            place = stack.enter_context(inputs_file(theirs))
            found.append(variants_of(Subject(other, count(other, theirs), place))[0][0])
        comparison = compare(found, rounds=options.rounds, runs=options.runs, progress=progress)
        main = comparison.measured[0].variant
        batches = _sweep(main, options, progress)
        tables = _tables(comparison, detector, options, progress)
        served = _serve(detector, main, files, options, progress)
    return Profile(
        detector=detector,
        counted=counted,
        pictures=str(files.folder),
        comparison=Comparison(comparison.roof, comparison.peaks, comparison.measured, (*lacking, *comparison.left_out)),
        batches=batches,
        tables=(*tables, *plans),
        served=served,
        seconds=time.monotonic() - started,
        machine=describe_machine(),
        versions=describe_versions(),
        commit=describe_commit(),
    )


def _of_plan(detector: Detector) -> str:
    precision: str = detector.info.precision
    return precision if precision in ("fp16", "int8") else "fp32"


def _sweep(main: Variant, options: ProfileOptions, progress: Progress) -> BatchSweep:
    batches = options.batches
    if main.subject.detector.info.preprocessing.max_batch_size == 1:
        # Its pictures vary in size, so that they cannot lie in one tensor.
        batches = batches[:1]
    progress(f"batches of {', '.join(map(str, batches))}")
    with EngineProcess(f"{main.name}, batches", main.job) as engine:
        return sweep(
            engine, batches, runs=options.runs, seconds=options.batch_seconds, memory_share=options.memory_share
        )


def _tables(
    comparison: Comparison, detector: Detector, options: ProfileOptions, progress: Progress
) -> list[LayerTable]:
    own = [each for each in comparison.measured if each.variant.subject.detector is detector]
    tables = []
    for engine, table in _TABLES.items():
        first = first_that_runs(own, engine)
        if first is None:
            continue
        progress(f"layers in {engine}, {options.layer_runs} runs")
        variant = first.variant
        recording = record_layers(f"{variant.name}, layers", variant.job, runs=options.layer_runs)
        source = f"{engine} {first.loading.version}, {variant.job.threads} threads, {options.layer_runs} runs"
        tables.append(table(recording, variant.subject.counted.nodes, source=source, precision=variant.precision))
    return tables


def _serve(
    detector: Detector, main: Variant, pictures: SampleFiles, options: ProfileOptions, progress: Progress
) -> Served:
    progress("starting a server")
    started = time.perf_counter()
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(_server_options(detector)))
        load_seconds = time.perf_counter() - started
        chain = chain_of(server, detector)
        files = usable(chain, [pictures.folder / name for name in islice(pictures.names, _MOST_FILES)])
        progress(f"{options.served_images} pictures through the server, one after the other")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sightline-profile-")))
        writers = [stack.enter_context(each) for each in writers_for(options.formats, folder, files[0].parent)]
        taken = one_by_one(chain, files, writers, images=options.served_images)
        progress(f"{_STREAMED * options.served_images} pictures as a stream, twice")
        streamed = stream(chain, files, images=_STREAMED * options.served_images, formats=options.formats)
        engines = server.engines()
    progress("telling decoding from letterbox, and network from head")
    info = engines[detector.network_model]
    # One picture after another: each network computes alone.
    threads = {name: engine.most_threads or engine.threads for name, engine in engines.items()}
    decode = decode_share(
        detector.pipeline, files[:16], threads=threads[detector.preprocessing_model], rounds=options.rounds
    )
    job = replace(
        main.job,
        engine=info.engine,
        precision="bf16" if info.precision == "bf16" else "fp32",
        threads=threads[detector.network_model],
    )
    network = network_share(detector, job, rounds=options.rounds * options.runs)
    return Served(
        load_seconds=load_seconds,
        engine=str(info),
        formats=options.formats,
        taken=taken,
        stages=stages(chain, taken, decode=decode, network=network),
        decode=decode,
        network=network,
        streamed=streamed,
    )


def _server_options(detector: Detector) -> ServerOptions:
    return ServerOptions(
        repository=detector.repository,
        models=(detector.name,),
        grpc_port=0,
        http_port=0,
        metrics_port=0,
        # All that stands beside it is measured on the CPU.
        use_gpus=False,
        ready_timeout_seconds=_READY_SECONDS,
    )


def chain_of(server: EmbeddedServer, detector: Detector) -> Chain:
    """The detector's models in a server."""
    parts = (detector.preprocessing_model, detector.network_model)
    return Chain(
        url=server.grpc_url,
        model=detector.name,
        network=detector.network_model,
        preprocessing=detector.preprocessing_model,
        instances={part: _instances(detector.repository, part) for part in parts},
        server_pid=server.pid,
    )


def _instances(repository: Path, model: str) -> int:
    config = parse((repository / model / CONFIG_FILE).read_text(encoding="utf-8"))
    return instance_count(MessageToDict(config, preserving_proto_field_name=True))
