"""What a Triton tells about itself over HTTP: its version, what it counted, and how busy its GPUs are."""

from __future__ import annotations

import json
import re
import statistics
import threading
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable

SAMPLE_SECONDS = 1.0
_METRIC = re.compile(r"(nv_\w+)\{([^}]*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
IMAGES = "nv_inference_count"
EXECUTIONS = "nv_inference_exec_count"
SUCCESSES = "nv_inference_request_success"
FAILURES = "nv_inference_request_failure"
QUEUE_MICROSECONDS = "nv_inference_queue_duration_us"
_COUNTED = (IMAGES, EXECUTIONS, SUCCESSES, FAILURES, QUEUE_MICROSECONDS)

Counts = dict[str, dict[str, float]]
"""Value by metric, by model."""


class PerfError(Exception):
    """The test cannot be run; the message says why, and what to do."""


def fetch(url: str) -> str:
    """The text at a URL.

    Raises:
        PerfError: nobody answers there, or with an error.
    """
    try:
        with urllib.request.urlopen(f"http://{url}", timeout=30) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, TimeoutError) as error:
        raise PerfError(
            f"http://{url} does not answer ({error}); is the server running? docker compose up --wait"
        ) from error


def describe_server(http: str) -> str:
    """Its name and version."""
    about = json.loads(fetch(f"{http}/v2"))
    return f"{about['name']} {about['version']}"


def read_counts(metrics: str) -> Counts:
    """What Triton counted so far."""
    counts: Counts = {name: defaultdict(float) for name in _COUNTED}
    for name, labels, value in _METRIC.findall(fetch(f"{metrics}/metrics")):
        if name in counts:
            counts[name][dict(_LABEL.findall(labels))["model"]] += float(value)
    return counts


def count_since(before: Counts, metrics: str) -> Counts:
    """What it counted since then."""
    now = read_counts(metrics)
    return {
        name: defaultdict(float, {model: value - before[name][model] for model, value in models.items()})
        for name, models in now.items()
    }


def failed_requests(counts: Counts, detector: str) -> int:
    """Requests to a detector that failed: Triton counts each twice, as the ensemble's own failure and as its step's."""
    return round(counts[FAILURES][detector] / 2)


def busy_gpus(metrics: str) -> list[float]:
    """Utilisation of each GPU, 0 to 1, in this moment."""
    found = _METRIC.findall(fetch(f"{metrics}/metrics"))
    return [float(value) for name, _, value in found if name == "nv_gpu_utilization"]


class Sampler:
    """Samples the GPUs in the background, from `with` to its end."""

    def __init__(self, sample: Callable[[], list[float]]) -> None:
        self._sample = sample
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._values: list[float] = []

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def mean(self) -> float | None:
        """Mean of all samples; None without any."""
        return statistics.fmean(self._values) if self._values else None

    def _work(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._values += self._sample()
