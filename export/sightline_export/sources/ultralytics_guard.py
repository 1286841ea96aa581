"""What stands between an untrusted checkpoint and its layers being called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightline.errors import CheckpointError, UnsupportedVersionError

from .versions import PACKAGE, TESTED, installed_version

_OLDEST_TORCH = "2.6"
"""The first that can read a checkpoint of known classes only, as Ultralytics does it."""


def check_restricts(tasks: Any) -> None:
    """Accept an Ultralytics that keeps a file from running code; it says nothing where it cannot, and runs it.

    Args:
        tasks: the module `ultralytics.nn.tasks`.

    Raises:
        UnsupportedVersionError: it cannot, as a rule because torch is too old.
    """
    safe_load = getattr(tasks, "_SafeLoad", None)
    if not getattr(safe_load, "SUPPORTED", False) or not hasattr(safe_load, "_local"):
        raise _unrestricted()


def _unrestricted() -> UnsupportedVersionError:
    import torch

    return UnsupportedVersionError(
        f"{PACKAGE} {installed_version()} with torch {torch.__version__} cannot keep a file from running code while it "
        f'is read, so nothing was read; pip install "torch>={_OLDEST_TORCH}" "{TESTED}" and try again'
    )


@contextmanager
def restricted(tasks: Any) -> Iterator[None]:
    """Networks that are built inside, in this thread, are built without running what their description says as Python.

    Ultralytics decides that by an environment variable when it is imported, which may have been long ago, and else by
    this mark of a restricted load.

    Args:
        tasks: the module `ultralytics.nn.tasks`.

    Raises:
        UnsupportedVersionError: it cannot do that.
    """
    check_restricts(tasks)
    mark = tasks._SafeLoad._local
    before = getattr(mark, "active", False)
    mark.active = True
    try:
        if not tasks._SafeLoad.restricted():
            raise _unrestricted()
        yield
    finally:
        mark.active = before


def check_unaltered(model: Any, path: Path) -> None:
    """Accept a network in which calling a layer runs that layer's class and nothing else.

    Training saves no hooks, and no layer whose method was replaced by one of its attributes: what such a file computes
    is not what its layers say. Nothing of the network is called here.

    Args:
        model: a network as it was unpickled.
        path: its file, to name it.

    Raises:
        CheckpointError: a layer was altered, in a way that is named.
    """
    for name, module in _layers(model):
        for attribute, value in vars(module).items():
            if change := _alteration(module, attribute, value):
                raise CheckpointError(
                    f"{path} alters how its layers are called: {attribute!r} of {name} ({type(module).__name__}) "
                    f"{change}. Checkpoints that training saved have no such thing; take the original file, or export "
                    "it to ONNX where it was trained"
                )


def _alteration(module: Any, attribute: str, value: Any) -> str | None:
    import torch

    if "_hooks" in attribute and value:
        return "holds hooks"
    if callable(value) and hasattr(type(module), attribute):
        return "stands in for what its class defines"
    # Where nobody finds its own hooks, and before a registered layer of that name.
    return "is a layer that is not registered" if isinstance(value, torch.nn.Module) else None


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Every layer once, with its dotted name; torch's own walk calls methods of the layers."""
    import torch

    seen: set[int] = set()
    pending = [("model", model)]
    while pending:
        name, module = pending.pop()
        if id(module) in seen or not isinstance(module, torch.nn.Module):
            continue
        seen.add(id(module))
        yield name, module
        pending.extend((f"{name}.{key}", child) for key, child in reversed(vars(module)["_modules"].items()))
