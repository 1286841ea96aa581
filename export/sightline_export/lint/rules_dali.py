"""Rules about `dali.py`, which the native DALI backend serialises and the stand-in runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from sightline_export.lint.dali_source import DaliSource, dotted_name, keyword, last_name
from sightline_export.lint.findings import Problem, Rule, error, warning
from sightline_export.lint.folders import ModelFolder, Repository
from sightline_export.lint.tensors import deviations

_EXPORT_AGAIN = "export a detector of this size again, which writes the file anew"
_OWN_PACKAGES = ("sightline", "sightline_export", "sightline_server")

Pipeline = tuple[Path, DaliSource, ast.FunctionDef]
"""A file with exactly one serialised pipeline, and that pipeline."""


def _sources(model: ModelFolder) -> Iterator[tuple[Path, DaliSource]]:
    for path, tree in model.dali_trees.items():
        if isinstance(tree, ast.Module):
            yield path, DaliSource(tree)


def _pipelines(model: ModelFolder) -> Iterator[Pipeline]:
    for path, source in _sources(model):
        if len(source.serialised) == 1 and source.pipeline_options(source.serialised[0]) is not None:
            yield path, source, source.serialised[0]


def _dali_syntax(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for path, tree in model.dali_trees.items():
        if isinstance(tree, SyntaxError):
            yield error(path, f"not valid Python: {tree.msg}", _EXPORT_AGAIN, tree.lineno)


def _dali_pipeline(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for path, source in _sources(model):
        count = len(source.serialised)
        if count != 1:
            line = source.serialised[1].lineno if count else None
            message = f"{count} functions are under @autoserialize; the DALI backend wants exactly one"
            yield error(path, message, "put @autoserialize above one @pipeline_def function", line)
            continue
        function = source.serialised[0]
        options = source.pipeline_options(function)
        if options is None:
            message = f"{function.name!r} is under @autoserialize, but is no pipeline"
            yield error(path, message, "put @pipeline_def(batch_size=…) between the two", function.lineno)
        elif not options.keys() & {"batch_size", "**"}:
            message = f"pipeline {function.name!r} states no batch_size, without which it cannot be serialised"
            fix = f"write @pipeline_def(batch_size={model.config.max_batch_size}, …)"
            yield error(path, message, fix, function.decorator_list[-1].lineno)


def _dali_device(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for path, source, function in _pipelines(model):
        device = (source.pipeline_options(function) or {}).get("device_id")
        if device is not None and isinstance(source.literal(device), int):
            message = f"device_id is fixed to {source.literal(device)}; without a GPU the pipeline cannot be built"
            yield error(path, message, "ask libcuda, and give None where there is no GPU", device.lineno)


def _dali_input(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    wanted = {tensor.name for tensor in model.config.input} - deviations(model).keys()
    for path, source, function in _pipelines(model):
        sources = [call for call in source.calls(function) if last_name(call) == "external_source"]
        names = [source.literal(keyword(call, "name")) for call in sources]
        absent = sorted(wanted - set(map(str, names)))
        if absent and None not in names:
            message = f"no external_source is called {', '.join(map(repr, absent))}, as the configuration's input is"
            fix = f'write fn.external_source(name="{absent[0]}", …)'
            yield error(path, message, fix, sources[0].lineno if sources else function.lineno)


def _dali_outputs(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    declared = len(model.config.output)
    if deviations(model):
        return
    for path, _, function in _pipelines(model):
        for node in (n for n in ast.walk(function) if isinstance(n, ast.Return)):
            if isinstance(node.value, ast.Tuple) and _misses(node.value, declared):
                message = f"the pipeline returns {len(node.value.elts)} outputs; the configuration declares {declared}"
                fix = "return them all, in the configuration's order: DALI fills them by position"
                yield error(path, message, fix, node.lineno)


def _misses(returned: ast.Tuple, declared: int) -> bool:
    """Whether these cannot be so many outputs; what has a star may be any number."""
    single = sum(not isinstance(element, ast.Starred) for element in returned.elts)
    return single > declared or (single < declared and single == len(returned.elts))


def _dali_size(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    wanted = model.preprocessing
    if wanted is None:
        return
    for path, source in _sources(model):
        for constant, value in (("KIND", wanted.kind), ("SIDES", wanted.sides)):
            node = source.constants.get(constant)
            if node is not None and source.literal(node) != value:
                message = f"{constant} is {source.literal(node)!r}; the model's name says {value!r}"
                yield error(path, message, _EXPORT_AGAIN, node.lineno)


def _dali_import(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for path, source in _sources(model):
        for node in ast.walk(source.tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            own = [name for name in names if name.partition(".")[0] in _OWN_PACKAGES]
            if own:
                message = f"it imports {own[0]}, which NVIDIA's container does not have"
                yield error(path, message, "use DALI and the standard library only", getattr(node, "lineno", None))


def _dali_serialisable(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for path, source, function in _pipelines(model):
        for call in source.calls(function):
            if last_name(call) in ("python_function", "torch_python_function", "numba_function"):
                message = f"{dotted_name(call)} cannot be serialised, so that the native DALI backend cannot load this"
                fix = "use DALI operators here; the stand-in's own branch may call Python"
                yield error(path, message, fix, call.lineno)


def _dali_decoder(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for path, source, function in _pipelines(model):
        for call in source.calls(function):
            if ".decoders.image" not in dotted_name(call):
                continue
            on_cpu = source.literal(keyword(call, "device")) in (None, "cpu") and not _has_choice(call)
            if not on_cpu and source.literal(keyword(call, "hw_decoder_load")) not in (0, 1):
                message = (
                    "hw_decoder_load is neither 0 nor 1: a batch is split between two GPU decoders that differ "
                    "slightly, so that a picture's result depends on its neighbours"
                )
                yield warning(path, message, "write hw_decoder_load=1.0", call.lineno)


def _has_choice(call: ast.Call) -> bool:
    """Whether `device` is something other than a plain text: then it may be the GPU."""
    device = keyword(call, "device")
    return device is not None and not isinstance(device, ast.Constant)


RULES = (
    Rule("dali-syntax", _dali_syntax),
    Rule("dali-pipeline", _dali_pipeline),
    Rule("dali-device", _dali_device),
    Rule("dali-input", _dali_input),
    Rule("dali-outputs", _dali_outputs),
    Rule("dali-size", _dali_size),
    Rule("dali-import", _dali_import),
    Rule("dali-serialisable", _dali_serialisable),
    Rule("dali-decoder", _dali_decoder),
)
