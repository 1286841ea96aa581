"""Rules about ONNX files: what the servers' ONNX Runtime and TensorRT can take, and what `config.pbtxt` promises."""

from __future__ import annotations

from collections.abc import Iterator

from sightline_export.lint.findings import Problem, Rule, error, note
from sightline_export.lint.folders import ModelFolder, Repository
from sightline_export.lint.onnx_graph import LARGEST_FILE_BYTES, OnnxGraph, can_read
from sightline_export.lint.signature import Signature
from sightline_export.lint.tensors import deviations, signatures

# What the ONNX Runtime of tritonserver 24.10, the embedded one, reads at most.
MAX_OPSET = 21
MAX_IR_VERSION = 10


def _graphs(model: ModelFolder) -> Iterator[OnnxGraph]:
    return (graph for graph in model.onnx_graphs.values() if graph.proto is not None)


def _onnx_unchecked(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if can_read():
        return
    for path in model.onnx_graphs:
        fix = "to check it too: `make install` in a checkout"
        yield note(path, "the ONNX file was not checked: the onnx package is not installed", fix)


def _onnx_size(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for path, graph in model.onnx_graphs.items():
        if graph.too_large:
            message = f"the file has {path.stat().st_size:,} bytes; more than {LARGEST_FILE_BYTES:,} cannot be read"
            yield error(path, message, "save it with external data: onnx.save(…, save_as_external_data=True)")


def _onnx_invalid(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for path, graph in model.onnx_graphs.items():
        reason = graph.failure
        if graph.proto is not None and not _absent_files(graph) and graph.proto.ir_version <= MAX_IR_VERSION:
            reason = _checker_says(graph)
        if reason is not None:
            message = f"not a valid ONNX model: {' '.join(reason.split())[:300]}"
            yield error(path, message, "export the model again, or copy the file anew")


def _checker_says(graph: OnnxGraph) -> str | None:
    import onnx

    try:
        onnx.checker.check_model(str(graph.path))
    except onnx.checker.ValidationError as failure:
        return str(failure)
    return None


def _onnx_version(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for graph in _graphs(model):
        for what, has, most in (
            ("opset", graph.opset, MAX_OPSET),
            ("IR version", graph.proto.ir_version, MAX_IR_VERSION),
        ):
            if has > most:
                message = f"{what} is {has}; the embedded server and containers of its age read at most {most}"
                yield error(graph.path, message, "export with opset 18 and IR version 10 or less")


def _onnx_external_data(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for graph in _graphs(model):
        for name in _absent_files(graph):
            message = f"its weights stand in {name!r}, which is not beside it"
            yield error(graph.path, message, f"copy {name} into {graph.path.parent.name}/, or export the model again")


def _absent_files(graph: OnnxGraph) -> list[str]:
    return sorted(name for name in graph.external_files if not (graph.path.parent / name).is_file())


def _onnx_tensors(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    odd = deviations(model)
    for graph in _graphs(model):
        for role, promised, real in (
            ("input", signatures(model.config.input), graph.inputs),
            ("output", signatures(model.config.output), graph.outputs),
        ):
            for name, want in promised.items():
                if name not in odd:
                    yield from _compare(model, graph, f"{role} {name!r}", want, real.get(name))
            for name in sorted(real.keys() - promised.keys() - odd.keys()):
                if role == "input":  # an output that nobody wants does no harm
                    message = f"the graph has an {role} {name!r} that {model.config_path.name} does not mention"
                    yield error(graph.path, message, "export the model again")


def _compare(
    model: ModelFolder, graph: OnnxGraph, what: str, want: Signature, real: Signature | None
) -> Iterator[Problem]:
    fix = "export the model again: names, types and shapes of graph and configuration must be equal"
    line = model.line_of(f'name: "{what.split(chr(39))[1]}"')
    if real is None:
        yield error(model.config_path, f"{what} is not in {graph.path.name}", fix, line)
        return
    batched = model.config.max_batch_size > 0
    shape = Signature(real.datatype, real.dims[1:] if batched else real.dims)
    if shape != want:
        yield error(model.config_path, f"{what} is {want} here and {shape} in {graph.path.name}", fix, line)


def _onnx_batch(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if model.config.max_batch_size < 1:
        return
    for graph in _graphs(model):
        fixed = [name for name, shape in (graph.inputs | graph.outputs).items() if shape.dims[:1] not in ((-1,), ())]
        if fixed:
            message = (
                f"max_batch_size is {model.config.max_batch_size}, but the graph's first axis is fixed in "
                f"{', '.join(fixed)}; the native ONNX Runtime backend refuses the model"
            )
            yield error(graph.path, message, "export with a dynamic batch axis")


def _onnx_uint8_cast(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for graph in _graphs(model):
        for name, shape in graph.inputs.items():
            others = sorted({node.op_type for node in graph.readers(name)} - {"Cast"})
            if shape.datatype == "UINT8" and others:
                message = (
                    f"UINT8 input {name!r} goes into {', '.join(others)}; TensorRT wants a Cast there and nothing else"
                )
                yield error(graph.path, message, "export the model again, which puts a Cast in front")


RULES = (
    Rule("onnx-unchecked", _onnx_unchecked),
    Rule("onnx-size", _onnx_size),
    Rule("onnx-invalid", _onnx_invalid),
    Rule("onnx-version", _onnx_version),
    Rule("onnx-external-data", _onnx_external_data),
    Rule("onnx-tensors", _onnx_tensors),
    Rule("onnx-batch", _onnx_batch),
    Rule("onnx-uint8-cast", _onnx_uint8_cast),
)
