"""Layers as engines tell of them: their arithmetic, their bytes, and that together they are the whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tests.bench.two_convolutions import CHANNELS, FLOPS, SIDE, write_rows, write_two_convolutions

from sightline.errors import InvalidOptionError
from sightline_bench.profile.engine_process import Job
from sightline_bench.profile.engines import record_layers
from sightline_bench.profile.layer_tables import onnxruntime_table, openvino_table, read_trtexec_profile
from sightline_bench.profile.layers import Layer, LayerTable, flops_by_name, part_named
from sightline_bench.profile.recorders import parse_onnxruntime_profile
from sightline_bench.profile.roofline import Roof
from sightline_export.cost import NodeCost, node_costs

TABLES = {"openvino": openvino_table, "onnxruntime": onnxruntime_table}
NODES = [
    NodeCost("network_first", "Conv", "network_one", FLOPS["network_first"]),
    NodeCost("network_second", "Conv", "network_three", FLOPS["network_second"]),
]


def layer(name: str, milliseconds: float, flops: int = 0, bytes_moved: int | None = 1000) -> Layer:
    return Layer(name=name, kind="Conv", milliseconds=milliseconds, flops=flops, bytes_moved=bytes_moved)


def table(*layers: Layer, flops: int = 100) -> LayerTable:
    return LayerTable(source="test", precision="fp32", layers=layers, wall_milliseconds=None, network_flops=flops)


def test_each_operator_is_counted_by_itself(tmp_path: Path) -> None:
    model = onnx.load(write_two_convolutions(tmp_path / "two.onnx"))
    assert node_costs(model, [np.zeros((1, 3, SIDE, SIDE), np.float32)]) == NODES


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LayerTable]:
    """The two convolutions in both engines."""
    folder = tmp_path_factory.mktemp("recorded")
    file, rows = write_two_convolutions(folder / "two.onnx"), write_rows(folder / "rows.npz")
    found = {}
    for engine, make in TABLES.items():
        job = Job(file=str(file), engine=engine, precision="fp32", threads=1, inputs=str(rows))
        found[engine] = make(record_layers(engine, job, runs=10), NODES, source=engine, precision="fp32")
    return found


@pytest.mark.parametrize("engine", TABLES)
def test_the_known_arithmetic_is_found_in_the_layers(recorded: dict[str, LayerTable], engine: str) -> None:
    found = recorded[engine]
    assert found.assigned == 1.0
    computing = {flops: found_in for found_in in found.layers if (flops := found_in.flops)}
    assert set(computing) == set(FLOPS.values())
    assert {each.part for each in computing.values()} == {"network"}


@pytest.mark.parametrize("engine", TABLES)
def test_the_layers_together_are_about_the_whole(recorded: dict[str, LayerTable], engine: str) -> None:
    found = recorded[engine]
    assert found.wall_milliseconds is not None
    assert 0.5 < found.milliseconds / found.wall_milliseconds < 1.1


@pytest.mark.parametrize("engine", TABLES)
def test_a_layer_moves_what_it_reads_and_writes(recorded: dict[str, LayerTable], engine: str) -> None:
    second = next(each for each in recorded[engine].layers if each.flops == FLOPS["network_second"])
    pixels, weights = SIDE * SIDE * CHANNELS, CHANNELS * CHANNELS * 9
    assert second.bytes_moved == pytest.approx(4 * (2 * pixels + weights + CHANNELS), rel=0.01)
    assert second.intensity == pytest.approx(second.flops / (4 * (2 * pixels + weights + CHANNELS)), rel=0.01)


def event(name: str, kind: str, begun: int, duration: int, **facts: Any) -> dict[str, Any]:
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "ts": begun,
        "dur": duration,
        "args": {"op_name": kind, **facts},
    }


def test_of_onnxruntimes_profile_only_the_last_runs_count() -> None:
    runs: list[dict[str, Any]] = [
        {"cat": "Session", "name": "model_run", "ts": begun, "dur": 90, "args": {}} for begun in (0, 100, 200)
    ]
    facts = {"input_type_shape": [{"float": [1, 2]}], "output_type_shape": [{"float": [1, 2]}], "output_size": "8"}
    steps = [event("a", "Relu", begun + 1, duration, **facts) for begun, duration in ((0, 9000), (100, 10), (200, 30))]
    loops = [event("loop", "Scan", 201, 80)]
    (found,) = parse_onnxruntime_profile([*runs, *steps, *loops], runs=2)
    assert found["milliseconds"] == pytest.approx(0.020)
    assert (found["name"], found["kind"], found["bytes_moved"]) == ("a", "Relu", 8)


def test_the_layers_of_a_plan_are_read_from_trtexecs_file(tmp_path: Path) -> None:
    file = tmp_path / "layers.json"
    content = [
        {"count": 310},
        {"name": "Reformatting CopyNode", "timeMs": 3.1, "averageMs": 0.01, "medianMs": 0.01, "percentage": 9.0},
        {"name": "network_first + network_active", "timeMs": 31, "averageMs": 0.1, "medianMs": 0.1, "percentage": 90.0},
        {
            "name": "__myl_Conv (network_second, bias)",
            "timeMs": 31,
            "averageMs": 0.2,
            "medianMs": 0.2,
            "percentage": 1.0,
        },
    ]
    file.write_text(json.dumps(content))
    found = read_trtexec_profile(file, NODES, precision="fp16")
    assert [each.flops for each in found.layers] == [0, FLOPS["network_first"], FLOPS["network_second"]]
    assert [each.kind for each in found.layers] == ["other", "Conv", "Conv"]
    assert [each.part for each in found.layers] == ["", "network", "network"]
    assert found.milliseconds == pytest.approx(0.31)
    assert "310 runs" in found.source
    assert found.intensity is None
    assert "not measured here" in found.note


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "cannot read"), ('{"a": 1}', "not a JSON list"), ('[{"count": 3}]', "holds no layer")],
)
def test_what_is_no_profile_of_trtexec_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "layers.json"
    file.write_text(content)
    with pytest.raises(InvalidOptionError, match=message):
        read_trtexec_profile(file, NODES, precision="fp16")


def test_an_empty_table_has_no_figures() -> None:
    empty = table(flops=0)
    assert (empty.milliseconds, empty.assigned, empty.by_kind(), empty.most_efficient(3)) == (0, 1.0, {}, [])
    assert empty.intensity is None


def test_ranks_leave_out_what_does_not_compute_or_matter() -> None:
    moving, slow, fast, tiny = layer("move", 50), layer("slow", 10, 10), layer("fast", 10, 90), layer("tiny", 0.01, 90)
    found = table(moving, slow, fast, tiny)
    assert found.slowest(1) == [moving]
    assert found.most_efficient(5) == [fast, slow]
    assert found.least_efficient(1) == [slow]


def test_intensity_is_unknown_where_a_layer_that_computes_does_not_tell() -> None:
    assert table(layer("a", 1, 10, None)).intensity is None
    assert table(layer("a", 1, 10, 5), layer("b", 1, 0, None)).intensity == 2.0


def test_the_attainable_time_is_each_layers_own_limit() -> None:
    roof = Roof({"fp32": 1000.0}, 10.0)
    found = table(layer("compute", 9, 500, 1), layer("memory", 9, 1, 20))
    assert found.attainable_milliseconds(roof) == pytest.approx(1000 * (0.5 + 2.0))


def test_what_runs_once_a_picture_is_summed_up() -> None:
    inside = NodeCost("conv", "Conv", "out", 7)
    assert flops_by_name([inside, inside, NodeCost("", "Conv", "other", 1)]) == {"conv": 14, "out": 14, "other": 1}


def test_parts_by_name() -> None:
    assert [part_named(name) for name in ("front_n1", "network_x", "back_n9", "boxes")] == [
        "front",
        "network",
        "head",
        "",
    ]
