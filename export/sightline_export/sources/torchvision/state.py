"""Reads a state_dict from a file that nobody vouches for, and says what else the file is."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.errors import CheckpointError

from .architectures import OTHERS, VARIANTS, fitting_families

_UNREADABLE = (
    *(TypeError, RuntimeError, EOFError, ImportError, AttributeError, KeyError, ValueError, OSError),
    pickle.UnpicklingError,
)
"""What damaged and foreign files were seen to raise."""
_ALLOWED = "a state_dict of a torchvision detector, as torch.save(model.state_dict(), path) and Detecto's save write it"
_INSIDE = ("model", "state_dict", "model_state_dict", "model_state", "net", "ema")
"""Where training scripts keep the state_dict among other things."""
_PARALLEL = "module."


def read_state_dict(path: Path) -> Mapping[str, Any]:
    """Tensors by name. Nothing but tensors and plain containers is unpickled.

    Raises:
        CheckpointError: not there, damaged, or something else.
    """
    import torch

    if not path.is_file():
        raise CheckpointError(f"{path} is not there; give the path of {_ALLOWED}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise _refusal(path, error) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds {_kind(content)}; allowed is {_ALLOWED}")
    if inside := [name for name in _INSIDE if isinstance(content.get(name), Mapping)]:
        others = ", ".join(sorted(str(name) for name in content if name != inside[0])) or "nothing else"
        raise CheckpointError(
            f"{path} is a training checkpoint: {inside[0]!r} holds the state_dict, and beside it stand {others}. "
            f"Allowed is the state_dict alone: torch.save(torch.load({path.name!r})[{inside[0]!r}], 'weights.pth')"
        )
    strange = [name for name, value in content.items() if not (isinstance(name, str) and torch.is_tensor(value))]
    if strange or not content:
        what = f"{strange[0]!r} of {_kind(content[strange[0]])}" if strange else "nothing at all"
        raise CheckpointError(f"{path} holds {what} where tensors are expected; allowed is {_ALLOWED}")
    if all(name.startswith(_PARALLEL) for name in content):
        raise CheckpointError(
            f"{path} was saved from DataParallel: every name begins with {_PARALLEL!r}. Save model.module.state_dict()"
        )
    return content


def recognise(state: Mapping[str, Any], path: Path) -> str:
    """The one family that a state_dict can be of.

    Raises:
        CheckpointError: there is none, or more than one.
    """
    families = fitting_families(state)
    if not families:
        raise CheckpointError(f"{path} is {looks_like(state)}; allowed is one of {', '.join(VARIANTS)}")
    if len(families) > 1:
        raise CheckpointError(
            f"{path} may be of {', '.join(families[:-1])} or {families[-1]}: their files look alike, but they "
            f"preprocess or normalise in other ways. Choose with --family {families[0]}"
        )
    return families[0]


def looks_like(state: Mapping[str, Any]) -> str:
    """What a state_dict seems to be of, in words."""
    if known := next((what for mark, what in OTHERS.items() if mark in state), None):
        return f"a state_dict of {known}"
    if families := fitting_families(state):
        return f"a state_dict of {' or '.join(families)}"
    return f"a state_dict of no known detector (its first tensor is {next(iter(state))!r})"


def fill(model: Any, state: Mapping[str, Any], *, family: str, path: Path) -> None:
    """Put the tensors into the model.

    Raises:
        CheckpointError: they are not all of its tensors, or have other shapes.
    """
    try:
        result = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        mismatches = [line.strip() for line in str(error).splitlines() if "size mismatch" in line]
        detail = f"{len(mismatches)} tensors have other shapes: {mismatches[0]}" if mismatches else str(error)
        raise CheckpointError(f"{path} does not fit {family}: {detail} It is {looks_like(state)}") from error
    missing = [name for name in result.missing_keys if not name.endswith("num_batches_tracked")]
    unknown = list(result.unexpected_keys)
    if missing or unknown:
        counts = [f"{len(missing)} tensors are missing, such as {missing[0]}"] if missing else []
        counts += [f"{len(unknown)} are unknown, such as {unknown[0]}"] if unknown else []
        raise CheckpointError(
            f"{path} does not fit {family}: {'; '.join(counts)}. It is {looks_like(state)}; choose with --family"
        )


def _refusal(path: Path, error: Exception) -> CheckpointError:
    if path.stat().st_size == 0:
        return CheckpointError(f"{path} is empty; allowed is {_ALLOWED}")
    if not zipfile.is_zipfile(path):
        reason = f"{path} is truncated, or no file of PyTorch 1.6 or newer"
        return CheckpointError(f"{reason}; allowed is {_ALLOWED}. Copy it again, or save it anew ({_first(error)})")
    if isinstance(error, pickle.UnpicklingError):
        return CheckpointError(
            f"{path} holds more than tensors, such as a whole pickled model or a script's arguments, and code is not "
            f"loaded from an untrusted file; allowed is {_ALLOWED}. Where it was trained, save model.state_dict() "
            f"({_global(error)})"
        )
    return CheckpointError(f"{path} cannot be read; allowed is {_ALLOWED} ({_first(error)})")


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def _global(error: Exception) -> str:
    """The line of PyTorch's message that names what it refused."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if "GLOBAL" in line or "Unsupported" in line), _first(error))[:200]
