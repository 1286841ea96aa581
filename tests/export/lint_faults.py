"""Every way in which the tests break the good repository, with the rule that must find it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from onnx import TensorProto, helper
from tests.export.lint_repository import (
    INFO,
    change_config,
    change_graph,
    change_text,
    save,
    write_config,
    write_good_repository,
    write_preprocessing,
)
from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.preprocessing import Preprocessing
from sightline_export import config
from sightline_export.groups import install_group
from sightline_export.tensorrt.manifest import Manifest, file_sha256

LETTERBOX, NETWORK, ENSEMBLE = "letterbox_640", "tiny_net", "tiny"
GROUP = "fleet"
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
    write_preprocessing(repository, Preprocessing.letterbox(320))
    shutil.rmtree(repository / LETTERBOX)
    change_text(repository / ENSEMBLE / CONFIG, 'model_name: "letterbox_640"', 'model_name: "letterbox_320"')


def stretched_pictures(repository: Path) -> None:
    """The ensemble takes its pictures, of the right size, from another preprocessing than its network was made for."""
    write_preprocessing(repository, Preprocessing.stretch(640))
    shutil.rmtree(repository / LETTERBOX)
    change_text(repository / ENSEMBLE / CONFIG, 'model_name: "letterbox_640"', 'model_name: "stretch_640"')


def in_group(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """A group of the detector and another one, to which something happens."""

    def damage(repository: Path) -> None:
        write_good_repository(repository, detector="other")
        install_group(repository, GROUP, [ENSEMBLE, "other"])
        change(repository)

    return damage


def without_member(repository: Path) -> None:
    shutil.rmtree(repository / "other")
    shutil.rmtree(repository / "other_net")


def member_of_other_tensors(repository: Path) -> None:
    """As if a member had been replaced by hand."""
    standing = (repository / GROUP / CONFIG).read_bytes()
    write_good_repository(repository, detector="other", info=replace(INFO, max_detections=9))
    (repository / GROUP / CONFIG).write_bytes(standing)


def member_of_other_pictures(repository: Path) -> None:
    """Of the same size, so that Triton would go on and every box would be in the wrong place."""
    standing = (repository / GROUP / CONFIG).read_bytes()
    write_good_repository(repository, detector="other", info=replace(INFO, preprocessing=Preprocessing.stretch(640)))
    (repository / GROUP / CONFIG).write_bytes(standing)


def network_as_plan(header: bytes = b"", *, manifest: bool = True, more: bytes = b"") -> Callable[[Path], None]:
    """The network as a plan with its manifest, which counts no `more` bytes."""

    def damage(repository: Path) -> None:
        def change(parsed: Any) -> None:
            parsed.backend, parsed.default_model_filename = "tensorrt", "model.plan"
            parsed.ClearField("optimization")
            for name in config.CUDA_PARAMETERS:
                del parsed.parameters[name]

        change_config(repository / NETWORK, change)
        (repository / NETWORK / "1" / "model.onnx").unlink()
        plan = repository / NETWORK / "1" / "model.plan"
        save(plan, header + b"ftrt plan")
        if manifest:
            save(repository / NETWORK / "1" / "manifest.json", plan_manifest(plan).to_json().encode())
        plan.write_bytes(plan.read_bytes() + more)

    return damage


def plan_manifest(plan: Path) -> Manifest:
    return Manifest(
        tensorrt="10.13.3",
        gpu="NVIDIA L4",
        compute_capability="8.9",
        min_batch=1,
        opt_batch=8,
        max_batch=16,
        precision="fp32",
        onnx_sha256="0" * 64,
        recipe=1,
        plan_sha256=file_sha256(plan),
        plan_bytes=plan.stat().st_size,
        built_at="2026-01-01T00:00:00+00:00",
        parameters=INFO.to_parameters(),
    )


def other_classes_than_the_plan(repository: Path) -> None:
    network_as_plan()(repository)
    for part in (ENSEMBLE, NETWORK):
        change_text(repository / part / CONFIG, "dog", "cow")


def half_switched(repository: Path) -> None:
    network_as_plan()(repository)
    save(repository / ".sightline-switch.json", b"{}")


def hyphenated(repository: Path) -> None:
    for part in (ENSEMBLE, NETWORK):
        (repository / part).rename(repository / part.replace("tiny", "ti-ny"))
    rendered = config.ensemble_config(detector="ti-ny", info=INFO)
    write_config(repository / "ti-ny", rendered)
    write_config(repository / "ti-ny_net", config.network_config(detector="ti-ny", info=INFO))


def reserved_letterbox(repository: Path) -> None:
    write_preprocessing(repository, Preprocessing.letterbox(320))
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


def noise_for_jpeg(repository: Path) -> None:
    (repository / LETTERBOX / "warmup" / config.WARMUP_JPEG).unlink()
    change_config(repository / LETTERBOX, lambda c: setattr(c.model_warmup[0].inputs["encoded"], "random_data", True))


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
    Fault("plan-manifest", "warning", f"{NETWORK}/1/manifest.json", network_as_plan(manifest=False)),
    Fault("plan-manifest", "error", f"{NETWORK}/1/model.plan", network_as_plan(more=b"x")),
    Fault("plan-manifest", "error", f"{NETWORK}/{CONFIG}", other_classes_than_the_plan),
    Fault("plan-switch", "error", ".sightline-switch.json", half_switched),
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
    Fault("preprocessing-differs", "error", f"{ENSEMBLE}/{CONFIG}:", stretched_pictures),
    Fault(
        "preprocessing-unused",
        "note",
        "letterbox_320",
        lambda repository: write_preprocessing(repository, Preprocessing.letterbox(320)),
    ),
    # --- warm-up
    Fault(
        "warmup-absent", "warning", f"{NETWORK}/{CONFIG}", in_config(NETWORK, lambda c: c.ClearField("model_warmup"))
    ),
    Fault("warmup-inputs", "error", f"{NETWORK}/{CONFIG}:", in_config(NETWORK, forget_warmup_input)),
    Fault("warmup-inputs", "error", f"{NETWORK}/{CONFIG}:", in_config(NETWORK, wrong_warmup_type)),
    Fault("warmup-inputs", "warning", f"{NETWORK}/{CONFIG}:", in_config(NETWORK, foreign_warmup_input)),
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
    Fault("warmup-image", "error", f"{LETTERBOX}/{CONFIG}:", noise_for_jpeg),
    Fault(
        "warmup-image",
        "error",
        f"{LETTERBOX}/{CONFIG}:",
        in_config(LETTERBOX, set_parameter(contract.MAX_PIXELS_PARAMETER, "1000")),
    ),
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
        "dali-outputs",
        "error",
        f"{LETTERBOX}/1/dali.py:",
        in_dali("return images, original_shape, *rectangle(original_shape)", "return (images,)"),
    ),
    Fault(
        "dali-outputs",
        "error",
        f"{LETTERBOX}/1/dali.py:",
        in_dali("return images, original_shape,", "return images, images, original_shape,"),
    ),
    Fault("dali-size", "error", f"{LETTERBOX}/1/dali.py:", in_dali("SIDES = (640,)", "SIDES = (320,)")),
    Fault("dali-import", "error", f"{LETTERBOX}/1/dali.py:", in_dali("import os\n", "import os\nimport sightline\n")),
    Fault(
        "dali-serialisable",
        "error",
        f"{LETTERBOX}/1/dali.py:",
        in_dali("fn.resize(\n        images,", "fn.python_function(\n        images,\n        function=print,"),
    ),
    Fault("dali-decoder", "warning", f"{LETTERBOX}/1/dali.py:", in_dali("hw_decoder_load=1.0", "hw_decoder_load=0.65")),
    # --- groups
    Fault("group-members", "error", f"{GROUP}/{CONFIG}:", in_group(without_member)),
    Fault(
        "group-members",
        "error",
        f"{GROUP}/{CONFIG}:",
        in_group(in_config(GROUP, set_parameter(contract.MEMBERS_PARAMETER, "tiny"))),
    ),
    Fault("group-stale", "error", f"{GROUP}/{CONFIG}:", in_group(member_of_other_tensors)),
    Fault("group-stale", "error", f"{GROUP}/{CONFIG}:", in_group(member_of_other_pictures)),
    Fault(
        "group-stale",
        "error",
        f"{GROUP}/{CONFIG}",
        in_group(in_config(GROUP, lambda c: c.ensemble_scheduling.step.pop(0))),
    ),
    Fault(
        "group-stale",
        "error",
        f"{GROUP}/{CONFIG}",
        in_group(in_config(GROUP, lambda c: setattr(c, "max_batch_size", 99))),
    ),
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
