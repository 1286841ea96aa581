"""The linter finds nothing in a good repository, and each fault by its own rule."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pytest
from onnx import TensorProto, helper
from tests.conftest import CHECKOUT, skip_or_fail
from tests.export.lint_repository import (
    INFO,
    change_config,
    change_graph,
    change_text,
    network_graph,
    save,
    write_config,
    write_good_repository,
    write_letterbox,
)
from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.errors import InvalidOptionError
from sightline_export import config
from sightline_export.lint import Finding, lint
from sightline_export.lint.runner import EMPTY_REPOSITORY, RULES

LETTERBOX, NETWORK, ENSEMBLE = "letterbox_640", "tiny_net", "tiny"
CONFIG = "config.pbtxt"


class Fault(NamedTuple):
    """One way to break the good repository; `where` is what the finding must point at."""

    rule: str
    severity: str
    where: str
    damage: Callable[[Path], object]

    def __str__(self) -> str:
        return self.rule


def in_config(model: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    return lambda repository: change_config(repository / model, change)


def in_text(path: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda repository: change_text(repository / path, old, new)


def in_graph(change: Callable[[Any], object]) -> Callable[[Path], None]:
    return lambda repository: change_graph(repository / NETWORK / "1" / "model.onnx", change)


def in_dali(old: str, new: str) -> Callable[[Path], None]:
    return in_text(f"{LETTERBOX}/1/dali.py", old, new)


def new_file(path: str, data: bytes = b"x") -> Callable[[Path], None]:
    return lambda repository: save(repository / path, data)


def removed(path: str) -> Callable[[Path], None]:
    return lambda repository: (repository / path).unlink()


def set_parameter(key: str, value: str) -> Callable[[Any], None]:
    def change(parsed: Any) -> None:
        parsed.parameters[key].string_value = value

    return change


def step_of(parsed: Any, model: str) -> Any:
    return next(step for step in parsed.ensemble_scheduling.step if step.model_name == model)


def tensor_of(tensors: Any, name: str) -> Any:
    return next(tensor for tensor in tensors if tensor.name == name)


def both_parts(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def damage(repository: Path) -> None:
        change_config(repository / NETWORK, change)
        change_config(repository / ENSEMBLE, change)

    return damage


# --- faults that need more than an expression
def rename_version(repository: Path) -> None:
    (repository / NETWORK / "1").rename(repository / NETWORK / "01")


def smaller_letterbox(repository: Path) -> None:
    """The ensemble takes its pictures from a letterbox of another size."""
    write_letterbox(repository, 320)
    shutil.rmtree(repository / LETTERBOX)
    change_text(repository / ENSEMBLE / CONFIG, "letterbox_640", "letterbox_320")


def network_as_plan(header: bytes) -> Callable[[Path], None]:
    def damage(repository: Path) -> None:
        def change(parsed: Any) -> None:
            parsed.backend, parsed.default_model_filename = "tensorrt", "model.plan"

        change_config(repository / NETWORK, change)
        (repository / NETWORK / "1" / "model.onnx").unlink()
        save(repository / NETWORK / "1" / "model.plan", header + b"ftrt plan")

    return damage


def hyphenated(repository: Path) -> None:
    for part in (ENSEMBLE, NETWORK):
        (repository / part).rename(repository / part.replace("tiny", "ti-ny"))
    rendered = config.ensemble_config(detector="ti-ny", info=INFO)
    write_config(repository / "ti-ny", rendered)
    write_config(repository / "ti-ny_net", config.network_config(detector="ti-ny", info=INFO))


def reserved_letterbox(repository: Path) -> None:
    write_letterbox(repository, 320)
    (repository / "letterbox_320").rename(repository / "letterbox_100")
    change_config(repository / "letterbox_100", lambda c: setattr(c, "name", "letterbox_100"))


def all_in_one_string(repository: Path) -> None:
    parsed = pb.ModelConfig(name="other", backend="dali", default_model_filename="dali.py", max_batch_size=4)
    parsed.input.add(name="encoded", data_type=pb.TYPE_STRING, dims=[1])
    parsed.output.add(name="images", data_type=pb.TYPE_UINT8, dims=[-1, -1, 3])
    parsed.output.add(name="original_shape", data_type=pb.TYPE_INT64, dims=[3])
    parsed.dynamic_batching.SetInParent()
    warmup = parsed.model_warmup.add(name="one", batch_size=1)
    warmup.inputs["encoded"].data_type = pb.TYPE_STRING
    warmup.inputs["encoded"].dims.append(1)
    warmup.inputs["encoded"].zero_data = True
    write_config(repository / "other", parsed)
    save(repository / "other" / "1" / "dali.py", (repository / LETTERBOX / "1" / "dali.py").read_bytes())


def fixed_batch(graph: Any) -> None:
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1


def weights_elsewhere(graph: Any) -> None:
    tensor = graph.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def uncast(graph: Any) -> None:
    graph.graph.node.append(helper.make_node("Identity", ["images"], ["same"]))


def hostile_graph(repository: Path) -> None:
    save(repository / NETWORK / "1" / "model.onnx", b"\xff" * 4096)


def unknown_operator(graph: Any) -> None:
    graph.graph.node.append(helper.make_node("NoSuchOperator", ["pixels"], ["anything"]))


def huge(repository: Path) -> None:
    with (repository / NETWORK / "1" / "model.onnx").open("ab") as file:
        file.truncate(2_100_000_000)  # sparse: it takes no room


def link_to(target: str) -> Callable[[Path], None]:
    def damage(repository: Path) -> None:
        outside = repository.parent / "outside"
        outside.mkdir(exist_ok=True)
        model = repository / NETWORK / "1" / "model.onnx"
        model.rename(outside / "model.onnx")
        model.symlink_to(outside / target)

    return damage


def several_pipelines(repository: Path) -> None:
    change_text(
        repository / LETTERBOX / "1" / "dali.py",
        "@pipeline_def(device_id=None, **OPTIONS)",
        "@autoserialize\n@pipeline_def(device_id=None, **OPTIONS)",
    )


def no_outputs_asked(parsed: Any) -> None:
    """A foreign DALI step whose second output nobody maps."""
    del step_of(parsed, LETTERBOX).output_map["original_shape"]


def swapped_outputs(parsed: Any) -> None:
    outputs = [parsed.output[1], parsed.output[0]]
    copies = [pb.ModelOutput.FromString(output.SerializeToString()) for output in outputs]
    del parsed.output[:]
    parsed.output.extend(copies)


def add_foreign_key(parsed: Any) -> None:
    step_of(parsed, NETWORK).input_map["brightness"] = "score_threshold"


def forget_threshold(parsed: Any) -> None:
    del step_of(parsed, NETWORK).input_map["score_threshold"]


def read_unwritten(parsed: Any) -> None:
    step_of(parsed, NETWORK).input_map["images"] = "pictures"


def shared_class_names(parsed: Any) -> None:
    parsed.parameters["sightline.class_names"].string_value = '["cat", "cow"]'


def second_warmup_of(size: int) -> Callable[[Any], None]:
    def change(parsed: Any) -> None:
        warmup = parsed.model_warmup.add()
        warmup.CopyFrom(parsed.model_warmup[0])
        warmup.name, warmup.batch_size = "large", size

    return change


def noise_for_jpeg(parsed: Any) -> None:
    parsed.model_warmup[0].inputs["encoded"].random_data = True


def text_for_jpeg(repository: Path) -> None:
    path = repository / LETTERBOX / "warmup" / config.WARMUP_JPEG
    path.write_bytes(b"not a picture".ljust(path.stat().st_size))


def forget_warmup_input(parsed: Any) -> None:
    del parsed.model_warmup[0].inputs["score_threshold"]


def wrong_warmup_type(parsed: Any) -> None:
    parsed.model_warmup[0].inputs["score_threshold"].data_type = pb.TYPE_INT64


def foreign_warmup_input(parsed: Any) -> None:
    filled = parsed.model_warmup[0].inputs["brightness"]
    filled.data_type, filled.zero_data = pb.TYPE_FP32, True
    filled.dims.append(1)


FAULTS = [
    # --- folders and files
    Fault("config-missing", "error", "leftover", new_file("leftover/1/model.onnx")),
    Fault("config-missing", "error", ".cache", new_file(".cache/x")),
    Fault("version-folder", "error", NETWORK, rename_version),
    Fault(
        "version-folder",
        "error",
        f"{ENSEMBLE}/{CONFIG}:",
        in_config(ENSEMBLE, lambda c: c.version_policy.specific.versions.append(3)),
    ),
    Fault("gitkeep", "warning", f"{ENSEMBLE}/1", removed(f"{ENSEMBLE}/1/.gitkeep")),
    Fault("model-file", "error", f"{NETWORK}/1/model.onnx", removed(f"{NETWORK}/1/model.onnx")),
    Fault(
        "default-model-filename",
        "error",
        f"{LETTERBOX}/{CONFIG}:",
        in_config(LETTERBOX, lambda c: setattr(c, "default_model_filename", "pipeline.py")),
    ),
    Fault("not-the-content", "error", f"{NETWORK}/1/model.onnx", new_file(f"{NETWORK}/1/model.onnx", b"")),
    Fault(
        "plan-header",
        "error",
        f"{NETWORK}/1/model.plan",
        network_as_plan((16).to_bytes(4, "little") + b'{"stride":  32 }'),
    ),
    Fault("link-outside", "warning", f"{NETWORK}/1/model.onnx", link_to("model.onnx")),
    Fault("stray-file", "warning", f"{NETWORK}/yolo.pt", new_file(f"{NETWORK}/yolo.pt")),
    Fault("stray-file", "warning", f"{NETWORK}/1/model.bak", new_file(f"{NETWORK}/1/model.bak")),
    Fault("unreadable", "warning", NETWORK, lambda repository: (repository / NETWORK).chmod(0o700)),
    # --- one configuration
    Fault("config-syntax", "error", f"{NETWORK}/{CONFIG}:", in_text(f"{NETWORK}/{CONFIG}", "dims: 3\n", "dims: 3;;\n")),
    Fault("config-name", "error", f"{NETWORK}/{CONFIG}:1", in_config(NETWORK, lambda c: setattr(c, "name", "big"))),
    Fault("model-name", "error", "ti-ny", hyphenated),
    Fault("backend", "error", f"{NETWORK}/{CONFIG}", in_config(NETWORK, lambda c: setattr(c, "backend", "openvino"))),
    Fault(
        "stand-in-only",
        "error",
        f"{NETWORK}/{CONFIG}:",
        in_config(NETWORK, set_parameter("FORCE_CPU_ONLY_INPUT_TENSORS", "no")),
    ),
    Fault(
        "instance-kind",
        "error",
        f"{NETWORK}/{CONFIG}:",
        in_config(NETWORK, lambda c: setattr(c.instance_group[0], "kind", pb.ModelInstanceGroup.KIND_GPU)),
    ),
    Fault(
        "accelerator",
        "error",
        f"{NETWORK}/{CONFIG}:",
        in_config(
            NETWORK,
            lambda c: c.optimization.execution_accelerators.cpu_execution_accelerator.add(name="openvino"),
        ),
    ),
    Fault(
        "dynamic-batching",
        "warning",
        f"{LETTERBOX}/{CONFIG}:",
        in_config(LETTERBOX, lambda c: c.ClearField("dynamic_batching")),
    ),
    Fault(
        "ragged",
        "warning",
        f"{LETTERBOX}/{CONFIG}:",
        in_config(LETTERBOX, lambda c: c.input[0].ClearField("allow_ragged_batch")),
    ),
    Fault("dali-input-type", "error", f"other/{CONFIG}:", all_in_one_string),
    # --- ensembles
    Fault(
        "ensemble-steps",
        "error",
        f"{ENSEMBLE}/{CONFIG}:",
        in_config(ENSEMBLE, lambda c: setattr(step_of(c, NETWORK), "model_name", "absent_net")),
    ),
    Fault(
        "ensemble-settings",
        "error",
        f"{ENSEMBLE}/{CONFIG}:",
        in_config(ENSEMBLE, lambda c: c.instance_group.add(count=1)),
    ),
    Fault(
        "ensemble-batch-size",
        "error",
        f"{ENSEMBLE}/{CONFIG}:",
        in_config(ENSEMBLE, lambda c: setattr(c, "max_batch_size", 32)),
    ),
    Fault("ensemble-map", "error", f"{ENSEMBLE}/{CONFIG}:", in_config(ENSEMBLE, no_outputs_asked)),
    Fault("ensemble-map", "error", f"{ENSEMBLE}/{CONFIG}:", in_config(ENSEMBLE, add_foreign_key)),
    Fault("ensemble-map", "error", f"{ENSEMBLE}/{CONFIG}:", in_config(ENSEMBLE, forget_threshold)),
    Fault("ensemble-map", "error", f"{ENSEMBLE}/{CONFIG}:", in_config(ENSEMBLE, read_unwritten)),
    Fault("ensemble-tensors", "error", f"{ENSEMBLE}/{CONFIG}:", smaller_letterbox),
    # --- what a detector tells about itself
    Fault(
        "contract-parameters",
        "error",
        f"{NETWORK}/{CONFIG}:",
        in_config(NETWORK, set_parameter(contract.CONTRACT_VERSION_PARAMETER, "99")),
    ),
    Fault(
        "contract-parameters",
        "error",
        f"{ENSEMBLE}/{CONFIG}",
        in_config(ENSEMBLE, lambda c: c.ClearField("parameters")),
    ),
    Fault(
        "precision", "error", f"{NETWORK}/{CONFIG}:", in_config(NETWORK, set_parameter("sightline.precision", "fp8"))
    ),
    Fault(
        "unknown-parameter",
        "warning",
        f"{NETWORK}/{CONFIG}:",
        in_config(NETWORK, set_parameter("sightline.clases", "[]")),
    ),
    Fault(
        "max-pixels",
        "error",
        f"{LETTERBOX}/{CONFIG}:",
        in_config(LETTERBOX, set_parameter(contract.MAX_PIXELS_PARAMETER, "many")),
    ),
    Fault(
        "contract-tensors",
        "error",
        f"{NETWORK}/{CONFIG}:",
        in_config(NETWORK, lambda c: tensor_of(c.output, "scores").dims.__setitem__(0, 100)),
    ),
    Fault(
        "contract-tensors",
        "error",
        f"{LETTERBOX}/{CONFIG}:",
        in_config(LETTERBOX, lambda c: tensor_of(c.output, "images").dims.__setitem__(0, 320)),
    ),
    Fault("output-order", "error", f"{LETTERBOX}/{CONFIG}:", in_config(LETTERBOX, swapped_outputs)),
    Fault("parameters-differ", "error", f"{ENSEMBLE}/{CONFIG}:", in_config(ENSEMBLE, shared_class_names)),
    Fault("letterbox-unused", "note", "letterbox_320", lambda repository: write_letterbox(repository, 320)),
    # --- warm-up
    Fault(
        "warmup-absent", "warning", f"{NETWORK}/{CONFIG}", in_config(NETWORK, lambda c: c.ClearField("model_warmup"))
    ),
    Fault("warmup-inputs", "error", f"{NETWORK}/{CONFIG}:", in_config(NETWORK, forget_warmup_input)),
    Fault("warmup-inputs", "error", f"{NETWORK}/{CONFIG}:", in_config(NETWORK, wrong_warmup_type)),
    Fault("warmup-inputs", "error", f"{NETWORK}/{CONFIG}:", in_config(NETWORK, foreign_warmup_input)),
    Fault("warmup-batch", "error", f"{NETWORK}/{CONFIG}:", in_config(NETWORK, second_warmup_of(64))),
    Fault("warmup-batch", "warning", f"{LETTERBOX}/{CONFIG}:", in_config(LETTERBOX, second_warmup_of(8))),
    Fault("warmup-file", "error", f"{LETTERBOX}/{CONFIG}:", removed(f"{LETTERBOX}/warmup/{config.WARMUP_JPEG}")),
    Fault(
        "warmup-length",
        "error",
        f"{LETTERBOX}/{CONFIG}:",
        in_config(LETTERBOX, lambda c: c.model_warmup[0].inputs["encoded"].dims.__setitem__(0, 400)),
    ),
    Fault("warmup-image", "error", f"{LETTERBOX}/warmup/", text_for_jpeg),
    Fault("warmup-stray", "warning", f"{LETTERBOX}/warmup/old.jpg", new_file(f"{LETTERBOX}/warmup/old.jpg")),
    # --- dali.py
    Fault(
        "dali-syntax", "error", f"{LETTERBOX}/1/dali.py:", in_dali("return images, original_shape", "return images,,")
    ),
    Fault("dali-pipeline", "error", f"{LETTERBOX}/1/dali.py:", several_pipelines),
    Fault("dali-pipeline", "error", f"{LETTERBOX}/1/dali.py", in_dali("@autoserialize\n", "")),
    Fault("dali-pipeline", "error", f"{LETTERBOX}/1/dali.py:", in_dali('    "batch_size": MAX_BATCH_SIZE,\n', "")),
    Fault("dali-device", "error", f"{LETTERBOX}/1/dali.py:", in_dali("device_id=0 if ON_GPU else None", "device_id=0")),
    Fault("dali-input", "error", f"{LETTERBOX}/1/dali.py:", in_dali('name="encoded"', 'name="jpeg"')),
    Fault(
        "dali-outputs", "error", f"{LETTERBOX}/1/dali.py:", in_dali("return images, original_shape", "return (images,)")
    ),
    Fault("dali-size", "error", f"{LETTERBOX}/1/dali.py:", in_dali("IMAGE_SIZE = 640", "IMAGE_SIZE = 320")),
    Fault("dali-import", "error", f"{LETTERBOX}/1/dali.py:", in_dali("import os\n", "import os\nimport sightline\n")),
    Fault(
        "dali-serialisable",
        "error",
        f"{LETTERBOX}/1/dali.py:",
        in_dali("fn.resize(\n        images,", "fn.python_function(\n        images,\n        function=print,"),
    ),
    Fault("dali-decoder", "warning", f"{LETTERBOX}/1/dali.py:", in_dali("hw_decoder_load=1.0", "hw_decoder_load=0.65")),
    # --- the ONNX file
    Fault("onnx-size", "error", f"{NETWORK}/1/model.onnx", huge),
    Fault("onnx-invalid", "error", f"{NETWORK}/1/model.onnx", hostile_graph),
    Fault("onnx-invalid", "error", f"{NETWORK}/1/model.onnx", in_graph(unknown_operator)),
    Fault(
        "onnx-version",
        "error",
        f"{NETWORK}/1/model.onnx",
        in_graph(lambda g: setattr(g.opset_import[0], "version", 22)),
    ),
    Fault("onnx-version", "error", f"{NETWORK}/1/model.onnx", in_graph(lambda g: setattr(g, "ir_version", 11))),
    Fault("onnx-external-data", "error", f"{NETWORK}/1/model.onnx", in_graph(weights_elsewhere)),
    Fault(
        "onnx-tensors",
        "error",
        f"{NETWORK}/{CONFIG}:",
        in_graph(lambda g: setattr(g.graph.output[0].type.tensor_type, "elem_type", TensorProto.INT64)),
    ),
    Fault(
        "onnx-tensors",
        "error",
        f"{NETWORK}/1/model.onnx",
        in_graph(
            lambda g: g.graph.input.append(helper.make_tensor_value_info("extra", TensorProto.FLOAT, ["batch", 1]))
        ),
    ),
    Fault("onnx-batch", "error", f"{NETWORK}/1/model.onnx", in_graph(fixed_batch)),
    Fault("onnx-uint8-cast", "error", f"{NETWORK}/1/model.onnx", in_graph(uncast)),
]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write_good_repository(tmp_path / "repository")


def test_a_good_repository_has_no_findings(repository: Path) -> None:
    assert lint(repository) == []


def test_two_detectors_of_different_size_have_no_findings(repository: Path) -> None:
    write_good_repository(repository, detector="small", info=replace(INFO, image_size=320, max_detections=100))
    assert lint(repository) == []


@pytest.mark.skipif(os.name != "posix", reason="modes and links are POSIX")
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_each_fault_is_found_by_its_own_rule(repository: Path, fault: Fault) -> None:
    fault.damage(repository)
    found = lint(repository)
    assert {finding.rule for finding in found} == {fault.rule}, found
    assert found[0].severity == fault.severity
    assert found[0].where.startswith(fault.where)
    assert (repository / found[0].path.parent).is_dir()
    assert found[0].message
    assert found[0].fix


def test_every_rule_is_broken_by_a_test() -> None:
    elsewhere = {"onnx-unchecked"}
    assert {fault.rule for fault in FAULTS} | elsewhere == {rule.name for rule in RULES}
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_lines_point_at_the_fault(repository: Path) -> None:
    change_config(repository / NETWORK, lambda c: setattr(c.instance_group[0], "kind", pb.ModelInstanceGroup.KIND_CPU))
    (finding,) = lint(repository)
    lines = (repository / finding.path).read_text().splitlines()
    assert finding.line is not None
    assert "kind: KIND_CPU" in lines[finding.line - 1]


def test_a_syntax_error_names_line_and_column(repository: Path) -> None:
    (repository / NETWORK / CONFIG).write_text('name: "tiny_net"\nmax_batch: 3\n')
    (finding,) = lint(repository)
    assert finding.line == 2
    assert "2:1" in finding.message


def test_letterbox_names_must_end_in_an_allowed_size(repository: Path) -> None:
    reserved_letterbox(repository)
    assert {finding.rule for finding in lint(repository)} >= {"model-name"}


def test_a_python_part_is_refused_and_a_foreign_python_model_is_not(repository: Path) -> None:
    rendered = pb.ModelConfig(name="tracker", backend="python", max_batch_size=0)
    write_config(repository / "tracker", rendered)
    save(repository / "tracker" / "1" / "model.py", b"")
    found = {finding.rule: finding.severity for finding in lint(repository)}
    assert found["backend"] == "warning"


def test_a_lfs_pointer_is_called_what_it_is(repository: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"
    save(repository / NETWORK / "1" / "model.onnx", pointer)
    assert "git lfs pull" in {finding.fix.removeprefix("run: ") for finding in lint(repository)}


def test_a_plan_without_header_is_good(repository: Path) -> None:
    network_as_plan(b"")(repository)
    assert lint(repository) == []


def test_external_weights_beside_the_graph_are_good(repository: Path) -> None:
    path = repository / NETWORK / "1" / "model.onnx"
    onnx.save(network_graph(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (path.parent / "weights.bin").chmod(0o644)  # onnx writes it for its owner alone, which the linter would report
    assert lint(repository) == []


def test_a_link_to_nothing_is_an_error(repository: Path) -> None:
    link_to("elsewhere.onnx")(repository)
    assert ("link-outside", "error") in {(finding.rule, finding.severity) for finding in lint(repository)}


def test_an_empty_repository_says_how_to_fill_it(tmp_path: Path) -> None:
    (finding,) = lint(tmp_path)
    assert finding.rule == EMPTY_REPOSITORY
    assert "sightline export" in finding.fix


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="is not a folder"):
        lint(tmp_path / "absent")


def test_without_onnx_the_rest_is_checked_and_a_note_says_so(repository: Path) -> None:
    script = (
        "import sys; sys.modules['onnx'] = None\n"
        "from pathlib import Path; from sightline_export.lint import lint\n"
        f"print([(f.rule, f.severity) for f in lint(Path({str(repository)!r}))])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert ast.literal_eval(shown) == [("onnx-unchecked", "note")]


def test_nothing_is_written_or_executed(repository: Path) -> None:
    save(repository / "evil" / CONFIG, b'name: "evil"\nbackend: "dali"\ndefault_model_filename: "dali.py"\n')
    trap = repository.parent / "executed"
    save(repository / "evil" / "1" / "dali.py", f"open({str(trap)!r}, 'w')\n".encode())
    before = sorted(repository.rglob("*"))
    lint(repository)
    assert sorted(repository.rglob("*")) == before
    assert not trap.exists()


def test_the_committed_repository_is_good() -> None:
    folder = CHECKOUT / "model_repository"
    if not (folder / "demo").is_dir():
        skip_or_fail("the demo detector is not in this checkout")
    ours = {"demo", "demo_net", "letterbox_640"}
    found: list[Finding] = [finding for finding in lint(folder) if finding.model in ours]
    assert found == []
