"""Results as a run gives them, with every figure and section, made up: what shows them is tested with these."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sightline_bench.load.loads import Load, Measured
from sightline_bench.load.server_statistics import Step
from sightline_bench.load.sweep import Outcome, ladder, rates
from sightline_bench.measure.results import Figure, Results
from sightline_bench.measure.rounds import Ratio
from sightline_bench.ratios.groups import all_keys
from sightline_bench.ratios.registry import Key

ROUNDS = 3
LACKING = "served_over_detecto"
"""Was not measured."""
_OF_TARGET = (1.06, 0.96, 1.3, 2.4, 1.01, 0.85)


def results() -> Results:
    """Of a full run on a machine that had other work."""
    keys = all_keys()
    return Results(
        figures={name: _figure(number, key) for number, (name, key) in enumerate(keys.items())},
        races=(_race(),),
        sweeps=(_sweep("Ultralytics", "threads", (2, 1)), _sweep("DataLoader", "batch", (1, 2, 4, 8, 16, 32, 64))),
        sections={
            "load": _load(),
            "client_over_perf_analyzer": {
                "client": _passes(1650, 1000, cpu=0.0007, found=0),
                "grpc, 8 in flight": _passes(1832, 1000, cpu=0.0, found=None),
            },
            "eight_models": {
                "one loaded": _passes(18.6, 100, cpu=0.104),
                "eight loaded": _passes(18.5, 100, cpu=0.104),
                "eight idle": _passes(0.05, 1, cpu=0.01, found=None),
            },
            "job_25k": _job(),
            "gpu": gpu(measured=True),
        },
        environment={
            "quick": False,
            "complete": True,
            "rounds": ROUNDS,
            "images": "100 pictures of images",
            "command": "sightline bench --images coco/images --weights checkpoints --json bench.json --html bench.html",
            "began": "2026-11-20T21:04:05+00:00",
            "seconds": 2231.4,
            "seconds_by_group": {"yolov8n": 702.5, "letterbox": 64.0, "load": 512.3},
            "machine": {
                "cpu": "a processor & its <model>",
                "features": ["AVX2"],
                "usable_cores": 2.0,
                "machine_cores": 2,
                "memory_bytes": 25_274_793_984,
                "system": "Linux-6.18-x86_64-with-glibc2.36",
                "python": "3.11.7",
                "load_average": 3.4,
            },
            "versions": {"sightline": "0.1.0", "openvino": "2026.4.1", "torch": "2.15.0", "ultralytics": "8.4.190"},
            "commit": "6e13b839e29081e9a5590a05cc5951e1f4411317",
            "dirty": True,
        },
    )


def _figure(number: int, key: Key) -> Figure:
    if key.name == LACKING:
        return key.lacking("Detecto ended with exit status 1; its last words: No module named 'detecto' <here>")
    middle = key.target * _OF_TARGET[number % len(_OF_TARGET)]
    about = "Sightline's client and an embedded Triton (100 images) / the other one (threads 2, 50 images); 640 x 640"
    note = "meant for bf16, which this processor does not have: measured in fp32" if number == 1 else ""
    return key.measured(Ratio((middle * 0.94, middle, middle * 1.05)), about, note)


def _passes(rate: float, images: int, *, cpu: float, found: int | None = 411) -> list[dict[str, Any]]:
    return [
        {
            "images": images,
            "seconds": images / rate * wobble,
            "cpu_seconds": cpu * images,
            "found": found,
            "details": {"peak_memory_bytes": 69_799_936.0} if rate > 1000 else {},
        }
        for wobble in (1.04, 1.0, 0.97)
    ]


def _race() -> dict[str, Any]:
    contestants = {
        "served": ("Sightline, an embedded Triton and its client", "served.py", {}, 18.4, 0.106),
        "in process": ("the same parts in a loop", "in_process.py", {"workers": 2, "batch": 8}, 19.1, 0.102),
        "engine": ("the network alone", "engine.py", {"workers": 2, "batch": 1}, 20.2, 0.097),
        "Ultralytics": ("cv2.imread and predict, one by one", "ultralytics_loop.py", {"threads": 2}, 8.2, 0.231),
        "decoder": ("the decoder alone", "decode.py", {"threads": 2}, 431.0, 0.0046),
    }
    told: dict[str, Any] = {
        name: {
            "title": title,
            "script": script,
            "settings": settings,
            "peak_memory_bytes": 734_003_200,
            "processes": [{"name": f"python {script}", "cpu_seconds": 31.2, "peak_memory_bytes": 734_003_200}],
            "failure": "",
            "passes": _passes(rate, 100, cpu=cpu),
        }
        for name, (title, script, settings, rate, cpu) in contestants.items()
    }
    told["Ultralytics ONNX"] = {
        **told["Ultralytics"],
        "peak_memory_bytes": None,
        "processes": [],
        "failure": "Ultralytics ONNX ended while it was asked to load, by SIGKILL",
        "passes": [],
    }
    setting = "100 pictures of images, letterboxed to 640 x 640 but for Ultralytics on torch"
    about = {"name": "yolov8n", "title": "yolov8n, everybody in turn", "setting": setting, "rounds": ROUNDS}
    return {**about, "contestants": told}


def _sweep(name: str, option: str, values: Sequence[int]) -> dict[str, Any]:
    rows = [
        {
            "value": f"{option} {value}",
            "settings": {option: value},
            "images_per_second": 9.0 - number,
            "runs": [8.8 - number, 9.0 - number, 9.1 - number],
            "chosen": number == 0,
        }
        for number, value in enumerate(values)
    ]
    about = {"name": f"yolov8n: {name}", "title": name, "setting": "16 images", "rounds": ROUNDS, "unit": "images/s"}
    return {**about, "rows": rows, "failures": {f"{option} 128": "it ended by SIGKILL"}}


def _load() -> dict[str, Any]:
    loads = ladder(requests=96, concurrencies=(1, 2, 4, 8, 16, 32, 64), batches=(2, 4, 8, 16))
    loads += rates(requests=96, capacity=18.4, shares=(0.3, 0.5, 0.7, 0.9))
    rows = [Outcome(load=load, runs=[_measured(load, wobble) for wobble in (0.97, 1.0, 1.02)]) for load in loads]
    rows.append(Outcome(load=Load(requests=1, concurrency=1, batch=32), failure="perf_analyzer could not run: big"))
    queue = [
        {
            "requests": 400,
            "servers": 2,
            "service_ms": 102.0 + number,
            "request_rate": 13.7,
            "p50_ms": 131.0,
            "p99_ms": 402.0,
            "model_p99_ms": 361.0 + 9 * number,
        }
        for number in range(ROUNDS)
    ]
    return {"driver_note": "", "sweeps": [row.as_json() for row in rows], "queue": queue}


def _measured(load: Load, wobble: float) -> Measured:
    in_flight = load.concurrency * load.batch
    rate = wobble * (load.request_rate or 18.4 * (1 - math.exp(-0.9 * in_flight)))
    if load.protocol == "http":
        rate *= 0.97
    latency = 1000 * load.concurrency * load.batch / rate if load.concurrency else 90 / (1.05 - rate / 18.4)
    queue = max(0.5, latency - 75.0 * load.batch)
    return Measured(
        load=load,
        generator="perf_analyzer",
        images_per_second=rate,
        latency_ms={50: latency, 90: 1.3 * latency, 95: 1.45 * latency, 99: 1.9 * latency},
        steps={
            "letterbox_640": _step(load, queue=0.05 * queue, infer=4.1, moved=0.3),
            "yolov8n_net": _step(load, queue=0.95 * queue, infer=68.0, moved=0.9),
            "yolov8n": _step(load, queue=0.0, infer=72.0, moved=1.0),
        },
    )


def _step(load: Load, *, queue: float, infer: float, moved: float) -> Step:
    return Step(
        requests=96,
        executions=96,
        images=96 * load.batch,
        queue_ms=queue,
        compute_input_ms=moved * load.batch,
        compute_infer_ms=infer * load.batch,
        compute_output_ms=0.4 * moved * load.batch,
    )


def gpu(*, measured: bool) -> dict[str, Any]:
    """Of a GPU, or of a rehearsal of it on a processor."""
    use = {"busy_percent": 91.4, "peak_bytes": 3 * 2**30, "watts": 241.0}
    rate = {"median": 2841.0, "low": 2790.0, "high": 2866.0, "runs": [2790.0, 2841.0, 2866.0]}
    none: dict[str, Any] = {"median": None, "low": None, "high": None, "runs": []}
    share = {"median": 0.93, "low": 0.91, "high": 0.94, "runs": [0.91, 0.93, 0.94]}
    ran = {"images_per_second": rate, "gpu": use if measured else None, "failure": ""}
    engine, chain = "yolov8n, tensorrt, with NMS, batch 16", "served yolov8n coco, arranged 16x1x2, batch 16"
    content = {
        "left_out": ["yolov8m with CUDA graphs: no such plan"],
        "alone": [
            {"name": engine, **ran},
            {"name": "decode and letterbox coco, batch 16", **ran},
            {"name": "decode coco, batch 64", "images_per_second": none, "gpu": None, "failure": "out of memory"},
        ],
        "letterbox_ms": {"decode and letterbox coco, batch 16": {**share, "median": 0.013}},
        "served": [
            {"name": chain, **ran, "over_limit": share, "over_graph_limit": none},
            {"name": f"{chain}, 8 clients", **ran, "over_limit": share, "over_graph_limit": none},
        ],
    }
    if not measured:
        return {"measured": False, "reason": "a rehearsal on the processor", "rehearsal": content}
    return {"measured": True, "reason": "", "gpu": {"name": "a GPU", "driver_version": "580.1"}, **content}


def _job() -> dict[str, Any]:
    seconds = [10.0 * number for number in range(400)]
    names = ("triton", "five_net", "letterbox_640", "sightline detect", "supervisor", "writer")
    return {
        "title": "five models over 25,000 names",
        "formats": ["jsonl"],
        "models": ["yolov8n", "yolov5nu", "yolov9t", "yolo11n", "yolo26n"],
        "group": "five",
        "precision": "fp32",
        "count": 25_000,
        "pictures": 100,
        "partial": True,
        "notes": ["100 pictures under 25,000 names."],
        "server_start_seconds": 21.4,
        "seconds": 3990.0,
        "images": 14_962,
        "failed": 2,
        "images_per_second": 3.75,
        "cpu_seconds": 7800.0,
        "cpu_seconds_per_image": 0.521,
        "peak_memory_bytes": 2_400_000_000,
        "objects": {"yolov8n": 61_320, "yolov5nu": 60_111},
        "processes": [
            {"name": name, "processes": 1, "cpu_seconds": 100.0, "peak_memory_bytes": 400_000_000} for name in names
        ],
        "steps": [
            {
                "model": "letterbox_640",
                "executions": 500,
                "images": 14_962,
                "mean_batch": 29.9,
                "busy_seconds": 92.0,
                "queue_seconds": 1800.0,
            }
        ],
        "samples": {
            "seconds": seconds,
            "images": [round(3.75 * each + 4 * math.sin(each / 200)) for each in seconds],
            "cpu_seconds": [1.95 * each for each in seconds],
            "memory_bytes": {name: [4e8 + 3e6 * math.sin(each / 90) for each in seconds] for name in names},
        },
        "checks": {"problems": ["3 files have no line in the results."]},
    }
