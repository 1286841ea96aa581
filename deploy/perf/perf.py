#!/usr/bin/env python3
"""A load test of a served detector with NVIDIA's perf_analyzer and real pictures, and a report of it.

    docker compose run --rm perf                                           the demo detector
    docker compose run --rm perf --model yolov8n --concurrency 8,32,128
    docker compose run --rm -v /data/photos:/pictures:ro perf --model yolov8n

Runs in the SDK image, so it needs nothing but perf_analyzer and Python's standard library.
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import triton_server
from triton_server import PerfError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
MOST_PICTURES = 256
PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True)
class Step:
    """One model of the detector: mean images in an execution, and mean milliseconds that a request waited for it."""

    images: float
    queue_ms: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """What was measured with one number of requests in flight.

    Attributes:
        concurrency: requests in flight.
        images_per_second: throughput.
        latency_ms: milliseconds by percentile.
        steps: the detector's models, by name.
        failures: requests to the detector that failed in the server, other clients' among them.
        gpu_utilisation: mean share of the time, 0 to 1, that a GPU was busy; None without one.
    """

    concurrency: int
    images_per_second: float
    latency_ms: dict[int, float]
    steps: dict[str, Step]
    failures: int
    gpu_utilisation: float | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the report; the exit status."""
    options = parse_arguments(arguments)
    try:
        about = triton_server.describe_server(options.http)
        pictures = find_pictures(options.pictures)
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data.json"
            data.write_text(json.dumps(input_data(pictures, options.batch, options.score_threshold)), encoding="utf-8")
            runs = [measure(options, data, concurrency) for concurrency in options.concurrency]
        write_report(options, about, pictures, runs)
    except PerfError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Load test of a served detector; the report goes to --results.")
    parser.add_argument("--model", default="demo", help="the detector (default: %(default)s)")
    parser.add_argument("--batch", type=positive, default=1, help="images in a request (default: %(default)s)")
    parser.add_argument(
        "--concurrency",
        type=lambda text: [positive(part) for part in text.split(",")],
        default=[1, 4, 16, 64],
        help="requests in flight, one run each (default: 1,4,16,64)",
    )
    parser.add_argument("--seconds", type=positive, default=5, help="length of a measurement (default: %(default)s)")
    parser.add_argument(
        "--stability",
        type=positive,
        default=10,
        help="percent that three windows may differ (default: %(default)s)",
    )
    parser.add_argument("--score-threshold", type=float, default=0.25, help="(default: %(default)s)")
    parser.add_argument("--pictures", type=Path, default=Path("/pictures"), help="(default: %(default)s)")
    parser.add_argument("--results", type=Path, default=Path("/results"), help="(default: %(default)s)")
    parser.add_argument("--grpc", default="triton:8001", help="HOST:PORT (default: %(default)s)")
    parser.add_argument("--http", default="triton:8000", help="HOST:PORT (default: %(default)s)")
    parser.add_argument("--metrics", default="triton:8002", help="HOST:PORT (default: %(default)s)")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


# --- input ------------------------------------------------------------------------------------------------------
def find_pictures(folder: Path) -> list[Path]:
    """Image files in a folder and below, at most `MOST_PICTURES` of them.

    Raises:
        PerfError: there is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise PerfError(
            f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))}); mount some there, or use --pictures"
        )
    return found[:MOST_PICTURES]


def input_data(pictures: Sequence[Path], batch: int, score_threshold: float) -> dict[str, list[dict[str, object]]]:
    """What perf_analyzer takes with --input-data.

    The pictures of one request must have one length. Zero bytes after a file's end change nothing.
    """
    files = [path.read_bytes() for path in pictures]
    longest = max(map(len, files)) if batch > 1 else 0
    return {
        "data": [
            {
                "encoded": {
                    "content": {"b64": base64.b64encode(data.ljust(longest, b"\0")).decode()},
                    "shape": [max(len(data), longest)],
                },
                "score_threshold": {"content": [score_threshold], "shape": [1]},
            }
            for data in files
        ]
    }


# --- measuring --------------------------------------------------------------------------------------------------
def measure(options: argparse.Namespace, data: Path, concurrency: int) -> Run:
    """One run of perf_analyzer.

    Raises:
        PerfError: it is not installed, or failed.
    """
    print(f"{options.model}: {concurrency} in flight ...", flush=True)
    before = triton_server.read_counts(options.metrics)
    with triton_server.Sampler(lambda: triton_server.busy_gpus(options.metrics)) as sampler:
        row = run_perf_analyzer(options, data, concurrency)
    counts = triton_server.count_since(before, options.metrics)
    return Run(
        concurrency=concurrency,
        images_per_second=float(row["Inferences/Second"]),
        latency_ms={part: float(row[f"p{part} latency"]) / 1000 for part in PERCENTILES},
        steps={
            model: step_of(counts, model)
            for model, executions in sorted(counts[triton_server.EXECUTIONS].items())
            if executions and model != options.model
        },
        failures=triton_server.failed_requests(counts, options.model),
        gpu_utilisation=sampler.mean,
    )


def step_of(counts: triton_server.Counts, model: str) -> Step:
    """What the server counted for one model."""
    executions, requests = counts[triton_server.EXECUTIONS][model], counts[triton_server.SUCCESSES][model]
    return Step(
        images=counts[triton_server.IMAGES][model] / max(1, executions),
        queue_ms=counts[triton_server.QUEUE_MICROSECONDS][model] / max(1, requests) / 1000,
    )


def run_perf_analyzer(options: argparse.Namespace, data: Path, concurrency: int) -> dict[str, str]:
    """The one row of its report."""
    program = shutil.which("perf_analyzer")
    if program is None:
        raise PerfError("there is no perf_analyzer on the PATH; use the image of docker-compose.yml (…-py3-sdk)")
    report = data.with_name(f"{concurrency}.csv")
    command = [program, "-m", options.model, "-u", options.grpc, "-i", "grpc", "-b", str(options.batch)]
    command += ["--input-data", str(data), "--concurrency-range", str(concurrency), "-f", str(report)]
    command += ["--measurement-interval", str(options.seconds * 1000)]
    command += ["--stability-percentage", str(options.stability)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if not report.is_file():
        raise PerfError(
            f"perf_analyzer ended with {done.returncode} and without a report; where it could not measure steadily, "
            f"--seconds {2 * options.seconds} or --stability {2 * options.stability} may help:\n"
            f"{done.stdout.strip()[-2000:]}"
        )
    with report.open(encoding="utf-8", newline="") as stream:
        return next(csv.DictReader(stream))


# --- the report -------------------------------------------------------------------------------------------------
def write_report(options: argparse.Namespace, about: str, pictures: Sequence[Path], runs: Sequence[Run]) -> None:
    """Write and print the report.

    Raises:
        PerfError: the folder cannot be written to.
    """
    now = datetime.now(timezone.utc)
    text = report(options, about, pictures, runs, when=now)
    target = options.results / f"perf-{options.model}-{now:%Y%m%dT%H%M%SZ}.md"
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PerfError(f"{text}\n{target} cannot be written ({error}); see CONTAINER_UID in .env") from error
    print(f"{text}\nwritten to {target}")


def report(
    options: argparse.Namespace, about: str, pictures: Sequence[Path], runs: Sequence[Run], *, when: datetime
) -> str:
    """The report as Markdown."""
    sizes = [path.stat().st_size for path in pictures]
    head = ["in flight", "images/s", *(f"p{part} ms" for part in PERCENTILES), "steps", "GPU", "failed"]
    lines = [
        f"# {options.model} on {about}",
        "",
        f"{when:%Y-%m-%d %H:%M} UTC, perf_analyzer over gRPC, {options.batch} image(s) a request, windows of "
        f"{options.seconds} s until three agree within {options.stability} %; {len(pictures)} pictures of "
        f"{statistics.fmean(sizes) / 1000:.0f} kB on average.",
        "Latencies are those of whole requests. A step is a model: mean images in one batch, mean wait in its queue.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
        *("| " + " | ".join(cells(run)) + " |" for run in runs),
        "",
    ]
    return "\n".join(lines)


def cells(run: Run) -> list[str]:
    """One row of the table."""
    return [
        str(run.concurrency),
        f"{run.images_per_second:.1f}",
        *(f"{run.latency_ms[part]:.1f}" for part in PERCENTILES),
        ", ".join(f"{model}: {step.images:.1f}, {step.queue_ms:.1f} ms" for model, step in run.steps.items()),
        "-" if run.gpu_utilisation is None else f"{run.gpu_utilisation:.0%}",
        str(run.failures),
    ]


if __name__ == "__main__":
    sys.exit(main())
