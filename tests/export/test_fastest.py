"""Which precision is taken, and how the engines of this machine are timed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from tests.export.conv_network import conv_network, write_scenes

from sightline.cli._machine import EngineMachine
from sightline.contract import DEFAULT_MAX_PIXELS, EngineInfo, ExportPrecision
from sightline.errors import ExportError, InvalidOptionError, LaunchError, VerificationError
from sightline.verification import Verification
from sightline_export.exporter import export
from sightline_export.fastest import Timing, choose, make_candidates, network_inputs, trials
from sightline_export.gate import Judgement, NewDetector
from sightline_export.options import ExportOptions
from sightline_export.pictures import draw_scene
from sightline_export.tensorrt.sources import find_sources
from sightline_export.tensorrt.takes import faults
from sightline_server.gpu import NO_GPUS, find_gpus

ENGINE = EngineInfo(engine="openvino", version="1", precision="fp32", threads=1)
PASSED = Judgement(verification=Verification(outcome="passed", reference=200, matched=200), engine=ENGINE)
FEW = Judgement(verification=Verification(outcome="inconclusive", reference=3, matched=3), engine=ENGINE)
Answers = dict[ExportPrecision, Judgement | None]


def taken(milliseconds: dict[ExportPrecision, float], answers: Answers) -> tuple[str, dict[ExportPrecision, str]]:
    """None as an answer is a failure."""

    def judge(precision: ExportPrecision) -> Judgement:
        answer = answers[precision]
        if answer is None:
            raise VerificationError("it finds something else")
        return answer

    timings = {precision: Timing(ENGINE, value / 1e3) for precision, value in milliseconds.items()}
    precision, _, results = choose(timings, judge, progress=lambda _: None)
    return precision, results


def test_the_fastest_that_passes_is_taken_and_the_rest_is_not_judged() -> None:
    precision, results = taken({"fp32": 50, "bf16": 25, "int8": 20}, {"int8": PASSED})
    assert precision == "int8"
    assert results["int8"].startswith("taken: verified")
    assert results["bf16"].startswith("slower than int8")


def test_fp16_is_taken_where_a_gpu_computes_it_and_it_passes() -> None:
    assert taken({"fp32": 3, "fp16": 2}, {"fp16": PASSED})[0] == "fp16"
    on_a_cpu = Judgement(verification=replace(PASSED.verification, outcome="inconclusive"), engine=ENGINE)
    assert taken({"fp32": 3, "fp16": 2}, {"fp16": on_a_cpu, "fp32": PASSED})[0] == "fp32"


def test_one_that_fails_gives_way_to_the_next() -> None:
    precision, results = taken({"fp32": 50, "bf16": 25, "int8": 20}, {"int8": None, "bf16": PASSED})
    assert precision == "bf16"
    assert results["int8"] == "failed the gate: it finds something else"


def test_a_coarser_one_must_be_faster_by_more_than_noise() -> None:
    assert taken({"fp32": 50, "int8": 49}, {"fp32": PASSED})[0] == "fp32"


def test_where_there_is_too_little_to_judge_by_it_is_fp32() -> None:
    precision, results = taken({"fp32": 50, "int8": 20}, {"int8": FEW, "fp32": FEW})
    assert precision == "fp32"
    assert results["int8"].startswith("did not pass the gate")


def test_where_fp32_fails_too_nothing_is_taken() -> None:
    with pytest.raises(VerificationError, match="finds something else"):
        taken({"fp32": 50, "int8": 20}, {"int8": None, "fp32": None})


class Cpu:
    """A machine without bf16."""

    def lacks(self, precision: ExportPrecision) -> str:
        return "no bf16 here" if precision == "bf16" else ""


def test_what_is_left_out_says_why() -> None:
    def make(precision: ExportPrecision) -> str:
        if precision == "fp16":
            raise ExportError("no layer")
        return precision

    made, left_out = make_candidates(make, Cpu(), calibrated=False)  # type: ignore[arg-type]
    assert made == {"fp32": "fp32"}
    assert left_out["bf16"] == "not tried: no bf16 here"
    assert left_out["fp16"] == "not made: no layer"
    assert "--calibration" in left_out["int8"]
    lines = [str(each) for each in trials({"fp32": Timing(ENGINE, 0.05)}, {**left_out, "fp32": "taken"})]
    assert lines[0].split() == ["fp32", "50.0", "ms", "taken"]
    assert lines[1].split(maxsplit=2) == ["bf16", "-", "not tried: no bf16 here"]


def test_auto_needs_the_gate(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="cannot be without"):
        export(tmp_path / "x.pt", repository=tmp_path / "models", chain=None, machine=EngineMachine())


def exported(precision: ExportPrecision, folder: Path) -> tuple[NewDetector, Path]:
    """The small network in a precision, without a gate."""
    onnx.save(conv_network(), folder / "conv.onnx")
    calibration = write_scenes(folder / "scenes", 16) if precision == "int8" else None
    report = export(
        folder / "conv.onnx",
        repository=folder / precision,
        chain=None,
        calibration=calibration,
        name=f"conv_{precision}",
        options=ExportOptions(precision=precision),
    )
    file = report.installed.network / "1" / "model.onnx"
    detector = NewDetector(
        name=report.name,
        model=file.read_bytes(),
        info=report.info,
        arithmetic=precision,
        max_pixels=DEFAULT_MAX_PIXELS,
    )
    return detector, file


def test_this_machine_times_what_it_computes_in(tmp_path: Path) -> None:
    machine = EngineMachine()
    assert machine.lacks("fp32") == machine.lacks("int8") == ""
    assert "GPUs" in machine.lacks("fp16")
    detectors = {each: exported(each, tmp_path)[0] for each in ("fp32", "int8")}
    picture = draw_scene((120, 160), seed=0)
    timings = machine.time(detectors, network_inputs(detectors["fp32"].info, picture))  # type: ignore[arg-type]
    assert {each: timing.engine.precision for each, timing in timings.items()} == {"fp32": "fp32", "int8": "int8"}
    assert all(timing.seconds > 0 for timing in timings.values())


class Ending:
    """Ends the process that it is sent to, as some engines do."""

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return os._exit, (1,)


def test_an_engine_that_ends_its_process_does_not_end_the_export(tmp_path: Path) -> None:
    detector = exported("fp32", tmp_path)[0]
    with pytest.raises(LaunchError, match="the process that timed fp32 ended"):
        EngineMachine().time({"fp32": detector}, {"images": Ending()})  # type: ignore[dict-item]


def test_a_machine_with_a_gpu_tries_fp16_and_not_what_is_for_cpus() -> None:
    machine = EngineMachine(gpu=0)
    assert machine.lacks("fp32") == machine.lacks("fp16") == ""
    assert machine.lacks("bf16") == "bf16 is for CPUs, and networks run on GPU 0 here"
    assert "int8 is for CPUs" in machine.lacks("int8")


@pytest.mark.skipif(find_gpus() != NO_GPUS, reason="this machine has a driver")
def test_a_gpu_that_cannot_compute_is_timed_as_what_takes_its_place(tmp_path: Path) -> None:
    assert "GPUs" in EngineMachine.here().lacks("fp16")
    half = exported("fp16", tmp_path)[0]
    timings = EngineMachine(gpu=0).time({"fp16": half}, network_inputs(half.info, draw_scene((120, 160), seed=0)))
    engine = timings["fp16"].engine
    assert (engine.device, engine.precision) == ("cpu", "fp32")
    assert engine.reason.startswith("on the CPU: GPU 0 cannot be used")


def test_a_network_in_fp16_is_one_that_tensorrt_takes(tmp_path: Path) -> None:
    detector, file = exported("fp16", tmp_path)
    model = onnx.load(file)
    assert not faults(model)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert {types[node.input[1]] for node in convolutions} == {onnx.TensorProto.FLOAT16}
    (source,) = find_sources(tmp_path / "fp16", ())
    assert (source.info.precision, detector.info.quantised) == ("fp16", False)
