"""The largest picture that is decoded, which the detectors of one preprocessing share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format

from sightline import contract
from sightline.errors import ExportError

from .config import CONFIG_FILE, parse


@dataclass(frozen=True, kw_only=True)
class LimitChange:
    """A limit that an export changed, for other detectors as well.

    Attributes:
        model: the shared preprocessing model.
        before: largest width x height that it decoded.
        now: largest width x height that it decodes.
        others: the other detectors that use it.
    """

    model: str
    before: int
    now: int
    others: tuple[str, ...]

    def __str__(self) -> str:
        """In one line."""
        also = f"; this holds for {', '.join(self.others)} too" if self.others else ""
        return f"{self.model} decodes pictures of up to {self.now} pixels now, {self.before} before{also}"


def standing_limit(repository: Path, preprocessing: str) -> int | None:
    """Largest width x height that the preprocessing model in the repository decodes; None where there is no such model.

    Raises:
        ExportError: what it states is no number of pixels.
    """
    file = repository / preprocessing / CONFIG_FILE
    if not file.exists():
        return None
    parameter = parse(file.read_text()).parameters.get(contract.MAX_PIXELS_PARAMETER)
    text = parameter.string_value if parameter else str(contract.DEFAULT_MAX_PIXELS)
    if not text.isdecimal() or int(text) < 1:
        raise ExportError(
            f"{file} states {contract.MAX_PIXELS_PARAMETER} {text!r}, where a whole number from 1 on is needed; "
            "correct it there"
        )
    return int(text)


def detectors_behind(repository: Path, preprocessing: str) -> tuple[str, ...]:
    """Names of the models of the repository that pass their pictures through it, sorted."""
    return tuple(
        sorted(file.parent.name for file in repository.glob(f"*/{CONFIG_FILE}") if preprocessing in _steps(file))
    )


def _steps(file: Path) -> set[str]:
    try:
        config = parse(file.read_text())
    except (text_format.ParseError, UnicodeDecodeError):
        # Somebody else's, and Triton does not read it either.
        return set()
    return {step.model_name for step in config.ensemble_scheduling.step}
