"""From networks to plans, with programs in the place of NVIDIA's: what they are told, and what comes of it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner
from tests.export.conv_network import conv_network
from tests.export.fake_tensorrt import PLAN, T4, write_tiny_detector
from tests.export.tensorrt_workshop import Workshop

from sightline.cli import cli
from sightline.contract import PlanPrecision
from sightline.detector_info import DetectorInfo
from sightline.verification import Verification
from sightline_export.config import parse
from sightline_export.exporter import export
from sightline_export.lint import lint
from sightline_export.options import ExportOptions
from sightline_export.repository import install_detector
from sightline_export.tensorrt.manifest import read_manifest
from sightline_export.tensorrt.plan_config import plan_info
from sightline_export.tensorrt.sources import find_sources
from sightline_export.tensorrt.takes import faults

KNOWN_TO_10 = {
    *("--onnx", "--saveEngine", "--minShapes", "--optShapes", "--maxShapes", "--stronglyTyped", "--noTF32"),
    *("--memPoolSize", "--timingCacheFile", "--skipInference"),
}
"""Those of our options that the trtexec of TensorRT 10.0 to 10.16 knows."""


# --- what is built ----------------------------------------------------------------------------------------------
def test_the_first_build_makes_a_repository_that_is_complete_by_itself(workshop: Workshop) -> None:
    outcome = workshop.build_one()
    assert (outcome.detector, outcome.state, outcome.version) == ("tiny", "built", 1)
    workshop.check_whole()
    assert {path.name for path in workshop.plans.iterdir()} == {"letterbox_320", "tiny", "tiny_net"}
    config = parse((workshop.plans / "tiny_net" / "config.pbtxt").read_text())
    assert (config.backend, config.default_model_filename) == ("tensorrt", "model.plan")
    assert list(config.version_policy.specific.versions) == [1]
    assert (workshop.plans / "tiny_net" / "1" / "model.plan").read_bytes() == PLAN
    source = {p.relative_to(workshop.models): p.read_bytes() for p in workshop.models.glob("letterbox*/**/*.*")}
    assert source
    assert all((workshop.plans / path).read_bytes() == content for path, content in source.items())


def test_the_plan_of_a_network_of_rectangles_sees_squares(workshop: Workshop) -> None:
    """Behind the letterbox that an export with --square would have installed."""
    write_tiny_detector(workshop.models, "wide", rect=True)
    workshop.tools.tell(copies_onnx=True)
    (outcome,) = workshop.build("wide")
    assert outcome.state == "built", outcome.reason
    assert any(line.startswith("wide: its plan sees squares") for line in workshop.progress)
    assert {path.name for path in workshop.plans.iterdir()} == {"letterbox_320", "wide", "wide_net"}
    assert lint(workshop.plans) == []
    wanted = {p.relative_to(workshop.models): p.read_bytes() for p in workshop.models.glob("letterbox*/**/*.*")}
    assert {p.relative_to(workshop.plans): p.read_bytes() for p in workshop.plans.glob("letterbox*/**/*.*")} == wanted
    built = onnx.load(workshop.plans / "wide_net" / "1" / "model.plan")
    assert [value.name for value in built.graph.input] == ["images", "original_shape", "score_threshold"]
    assert not faults(built)
    parameters = parse((workshop.plans / "wide" / "config.pbtxt").read_text()).parameters
    assert parameters["sightline.preprocessing"].string_value == "letterbox_320"
    assert "rectangles" in parameters["sightline.square_because"].string_value
    (again,) = workshop.build("wide")
    assert again.state == "up to date"


def test_other_users_can_read_all_of_it(workshop: Workshop) -> None:
    before = os.umask(0o077)
    try:
        workshop.build_one()
    finally:
        os.umask(before)
    assert [finding for finding in lint(workshop.plans) if finding.rule == "unreadable"] == []


@pytest.mark.parametrize(("version", "strongly_typed"), [("10.0.1", True), ("10.16.1", True), ("11.1.0", False)])
def test_trtexec_is_told_all_shapes_and_no_precision(workshop: Workshop, version: str, strongly_typed: bool) -> None:
    workshop.tools.tensorrt(version)
    workshop.build_one(opt_batch=4, workspace_mib=512)
    (told,) = workshop.tools.builds
    assert told.keys() == KNOWN_TO_10 - (set() if strongly_typed else {"--stronglyTyped"})
    for option, batch in (("--minShapes", 1), ("--optShapes", 4), ("--maxShapes", 16)):
        assert told[option] == f"images:{batch}x320x320x3,original_shape:{batch}x3,score_threshold:{batch}x1"
    assert told["--memPoolSize"] == "workspace:512M"
    assert told["--timingCacheFile"] == str(workshop.cache / f"timing-{version}-8.9.cache")
    assert read_manifest(workshop.plans / "tiny_net" / "1").tensorrt == version


def test_larger_inputs_have_smaller_batches(workshop: Workshop) -> None:
    write_tiny_detector(workshop.models, "wide", image_size=1280)
    (outcome,) = workshop.build("wide")
    assert outcome.state == "built", outcome.reason
    (told,) = workshop.tools.builds
    assert told["--optShapes"] == told["--maxShapes"]
    assert told["--maxShapes"].startswith("images:4x1280x1280x3,")


def test_an_fp16_plan_says_so(workshop: Workshop) -> None:
    """The tiny network has no learnt layer, so nothing of it could be FP16."""
    outcome = workshop.build_one(precision="fp16")
    assert outcome.state == "failed"
    assert "build it with --precision fp32" in outcome.reason
    assert not workshop.plans.exists()


def test_a_detector_that_was_exported_in_fp16_becomes_an_fp16_plan(workshop: Workshop, tmp_path: Path) -> None:
    onnx.save(conv_network(), tmp_path / "conv.onnx")
    options = ExportOptions(precision="fp16")
    export(tmp_path / "conv.onnx", repository=workshop.models, chain=None, name="half", options=options)
    workshop.tools.tell(copies_onnx=True)
    (outcome,) = workshop.build("half", precision="fp16")
    assert outcome.state == "built", outcome.reason
    built = onnx.load(workshop.plans / "half_net" / "1" / "model.plan")
    assert not faults(built)
    types = {tensor.name: tensor.data_type for tensor in built.graph.initializer}
    weights = {types[node.input[1]] for node in built.graph.node if node.op_type == "Conv"}
    assert weights == {onnx.TensorProto.FLOAT16}
    parameters = parse((workshop.plans / "half" / "config.pbtxt").read_text()).parameters
    assert parameters["sightline.precision"].string_value == "fp16"
    (outcome,) = workshop.build("half", precision="fp32")
    assert outcome.state == "no plan"
    assert "it was exported in fp16: build it with --precision fp16" in outcome.reason
    assert len(workshop.tools.builds) == 1


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_an_int8_detector_is_no_plan_and_says_what_to_export(workshop: Workshop, precision: PlanPrecision) -> None:
    (source,) = find_sources(workshop.models, ["tiny"])
    info = replace(source.info, precision="int8", quantised=True)
    install_detector(workshop.models, "eight", source.onnx.read_bytes(), info)
    (outcome,) = workshop.build("eight", precision=precision)
    assert outcome.state == "no plan"
    assert "TensorRT takes symmetric quantisation only: export its source with --precision fp16" in outcome.reason
    assert workshop.tools.builds == []


def test_a_record_of_verification_does_not_stand_for_another_precision() -> None:
    passed = Verification(outcome="passed", reference=200, matched=200, precision="fp32")
    info = DetectorInfo(class_names=("cat",), verification=passed)
    assert plan_info(info, "fp32").verification == passed
    half = plan_info(info, "fp16")
    assert half.precision == "fp16"
    assert half.verification is not None
    assert not half.verification.verified
    assert "in another precision only" in str(half.verification)


# --- what is not built again ------------------------------------------------------------------------------------
def test_a_plan_that_is_up_to_date_is_not_built_again(workshop: Workshop) -> None:
    workshop.build_one()
    before = {path: path.stat().st_mtime_ns for path in workshop.plans.rglob("*")}
    outcome = workshop.build_one()
    assert (outcome.state, outcome.version) == ("up to date", 1)
    assert len(workshop.tools.builds) == 1
    assert {path: path.stat().st_mtime_ns for path in workshop.plans.rglob("*")} == before


def new_weights(workshop: Workshop) -> None:
    write_tiny_detector(workshop.models, "tiny", seed=1)


def new_plan_is_damaged(workshop: Workshop) -> None:
    (workshop.plans / "tiny_net" / "1" / "model.plan").write_bytes(b"short")


CHANGES: dict[str, Any] = {
    "another ONNX file": (new_weights, {}),
    "another TensorRT": (lambda workshop: workshop.tools.tensorrt("11.0.0"), {}),
    "another GPU": (lambda workshop: workshop.tools.gpus(T4), {}),
    "tuned for another batch": (lambda _: None, {"opt_batch": 2}),
    "a damaged plan": (new_plan_is_damaged, {}),
    "asked to": (lambda _: None, {"force": True}),
}


@pytest.mark.parametrize("why", CHANGES)
def test_what_changed_becomes_a_new_version(workshop: Workshop, why: str) -> None:
    workshop.build_one()
    change, choices = CHANGES[why]
    change(workshop)
    outcome = workshop.build_one(**choices)
    assert (outcome.state, outcome.version) == ("built", 2)
    assert workshop.versions == {1: False, 2: True}
    assert lint(workshop.plans) == []


def test_what_a_detector_tells_changes_without_a_build(workshop: Workshop) -> None:
    workshop.build_one()
    model = (workshop.models / "tiny_net" / "1" / "model.onnx").read_bytes()
    info = replace(write_tiny_detector(workshop.models, "tiny"), class_names=("lion", "wolf", "yak"))
    install_detector(workshop.models, "tiny", model, info, max_pixels=500_000)
    assert workshop.build_one().state == "up to date"
    workshop.check_whole()
    assert "lion" in (workshop.plans / "tiny" / "config.pbtxt").read_text()
    assert '"500000"' in (workshop.plans / "letterbox_320" / "config.pbtxt").read_text()


def test_a_plan_whose_detector_is_gone_is_told_of(workshop: Workshop) -> None:
    workshop.build_one()
    shutil.copytree(workshop.plans / "tiny_net", workshop.plans / "gone_net")
    workshop.build_one()
    assert workshop.progress[-1].startswith("gone: not in the model repository; delete ")


def test_old_versions_stay_up_to_a_limit(workshop: Workshop) -> None:
    for _ in range(4):
        workshop.build_one(force=True, keep=2)
    assert workshop.versions == {3: False, 4: True}
    workshop.check_whole()


def test_the_way_back_to_options_of_before_needs_no_build(workshop: Workshop) -> None:
    workshop.build_one()
    workshop.build_one(opt_batch=2)
    outcome = workshop.build_one()
    assert (outcome.state, outcome.version) == ("switched", 1)
    assert workshop.versions == {1: True, 2: False}
    assert len(workshop.tools.builds) == 2


# --- the command ------------------------------------------------------------------------------------------------
def test_the_commands(workshop: Workshop) -> None:
    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["tensorrt", *words, "--plans", str(workshop.plans)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    build = ("build", "--repository", str(workshop.models), "--cache", str(workshop.cache), "--precision", "fp32")
    assert run("list") == (0, f"{workshop.plans} has no plan: `sightline tensorrt build` builds them\n")
    status, printed = run(*build)
    assert status == 0
    assert "tiny: built, version 1 is served" in printed
    assert printed.index("/v2/repository/models/tiny/load") < printed.index("/v2/repository/models/tiny_net/load")
    assert run(*build, "--force", "--opt-batch", "2")[0] == 0
    listed = run("list")[1].splitlines()
    assert [line[:8] for line in listed] == ["  tiny 1", "* tiny 2"]
    assert "fp32, batch 1 to 16 (tuned for 2), TensorRT 10.13.3, NVIDIA L4 (8.9)" in listed[1]
    check = ("check", "--repository", str(workshop.models))
    assert run(*check) == (0, "every plan fits this machine\n")
    assert "version 1 is to be served" in run("rollback", "tiny")[1]
    workshop.tools.tensorrt("10.14.1")
    status, printed = run(*check)
    assert status == 1
    assert "tiny_net version 1: TensorRT is 10.14.1, it was built for 10.13.3" in printed
    assert f"sightline tensorrt build --repository {workshop.models} --plans {workshop.plans}" in printed
    workshop.tools.tell(status=1)
    assert run(*build)[0] == 1
