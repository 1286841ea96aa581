"""A profile as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sightline_bench.measure.rounds import Ratio
from sightline_bench.profile.layers import Layer, LayerTable
from sightline_bench.profile.profile import Profile, Served
from sightline_bench.profile.roofline import Roof
from sightline_bench.profile.sweep import BatchSweep
from sightline_bench.profile.variants import Measured

SCHEMA = 1


def as_json(profile: Profile) -> dict[str, Any]:
    """Everything, in units that the names say; times of layers in milliseconds."""
    comparison = profile.comparison
    info = profile.detector.info
    return {
        "schema": SCHEMA,
        "model": {
            "name": profile.detector.name,
            "source": info.source,
            "precision": info.precision,
            "input": str(info.preprocessing),
            "parameters": profile.counted.cost.parameters,
            "flops": profile.counted.cost.flops,
            "operators": profile.counted.node_count,
            "file_bytes": profile.detector.network.stat().st_size,
        },
        "pictures": profile.pictures,
        "roof": {
            **asdict(comparison.roof),
            "ridge_flops_per_byte": {each: comparison.roof.ridge(each) for each in comparison.roof.flops_per_second},
            "milliseconds": {name: _ratio(each) for name, each in comparison.peaks.items()},
        },
        "variants": [_variant(each, comparison.roof) for each in comparison.measured],
        "left_out": [asdict(each) for each in comparison.left_out],
        "batches": _batches(profile.batches),
        "layers": [_table(table, comparison.roof) for table in profile.tables],
        "served": _served(profile.served),
        "seconds": profile.seconds,
        "machine": dict(profile.machine),
        "versions": dict(profile.versions),
        **profile.commit,
    }


def _ratio(ratio: Ratio) -> dict[str, Any]:
    return {"median": ratio.median, "low": ratio.low, "high": ratio.high, "runs": list(ratio.runs)}


def _variant(each: Measured, roof: Roof) -> dict[str, Any]:
    return {
        "detector": each.variant.subject.detector.name,
        "engine": each.variant.engine,
        "version": each.loading.version,
        "precision": each.variant.precision,
        "threads": each.variant.job.threads,
        "note": each.variant.note,
        "parameters": each.variant.subject.counted.cost.parameters,
        "flops": each.variant.subject.counted.cost.flops,
        "load_seconds": each.loading.load_seconds,
        "start_seconds": each.loading.start_seconds,
        "first_seconds": each.loading.first_seconds,
        "memory_bytes": each.loading.memory_bytes,
        "milliseconds": _ratio(each.milliseconds),
        "images_per_second": each.images_per_second,
        "flops_per_second": each.flops_per_second,
        "peak_flops_per_second": roof.peak(each.variant.precision),
        "peak_share": _ratio(each.peak_share),
    }


def _batches(sweep: BatchSweep) -> dict[str, Any]:
    points = [{**asdict(point), "images_per_second": point.images_per_second} for point in sweep.points]
    return {"points": points, "stopped": sweep.stopped}


def _table(table: LayerTable, roof: Roof) -> dict[str, Any]:
    intensity = table.intensity
    return {
        "source": table.source,
        "precision": table.precision,
        "note": table.note,
        "wall_milliseconds": table.wall_milliseconds,
        "milliseconds": table.milliseconds,
        "attainable_milliseconds": table.attainable_milliseconds(roof),
        "assigned": table.assigned,
        "bytes_moved": table.bytes_moved,
        "flops_per_byte": intensity,
        "bound": None if intensity is None else roof.bound(intensity, table.precision),
        "by_part": table.by_part(),
        "by_kind": table.by_kind(),
        "layers": [_layer(layer, table, roof) for layer in table.layers],
    }


def _layer(layer: Layer, table: LayerTable, roof: Roof) -> dict[str, Any]:
    intensity = layer.intensity
    return {
        **asdict(layer),
        "share": table.share(layer),
        "flops_per_second": layer.flops_per_second,
        "peak_share": layer.flops_per_second / roof.peak(layer.precision),
        "flops_per_byte": intensity,
        "bound": roof.bound(intensity, layer.precision) if layer.flops and intensity is not None else None,
    }


def _served(served: Served) -> dict[str, Any]:
    taken = sorted(served.taken.seconds)
    return {
        "load_seconds": served.load_seconds,
        "engine": served.engine,
        "formats": list(served.formats),
        "images": len(taken),
        "milliseconds": {
            "mean": 1000 * sum(taken) / len(taken),
            "median": 1000 * taken[len(taken) // 2],
            "highest": 1000 * taken[-1],
        },
        "stages_milliseconds": dict(served.stages),
        "decode": asdict(served.decode),
        "network": asdict(served.network),
        "counts": {model: asdict(count) for model, count in served.taken.counts.items()},
        "stream": {**asdict(served.streamed), "images_per_second": served.streamed.images_per_second},
    }
