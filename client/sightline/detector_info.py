"""What a served detector tells about itself, in `parameters` of its `config.pbtxt`, so that no side file is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sightline.contract import (
    CONTRACT_VERSION,
    CONTRACT_VERSION_PARAMETER,
    DEFAULT_IOU_THRESHOLD,
    DEFAULT_MAX_DETECTIONS,
    PARAMETER_PREFIX,
    SCORE_FLOOR,
    SERVED_PRECISIONS,
    ServedPrecision,
    check_contract_version,
    check_fraction,
)
from sightline.errors import ContractMismatchError, InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline.verification import Verification


@dataclass(frozen=True, kw_only=True)
class DetectorInfo:
    """Facts about one detector, on its ensemble and on its network model alike.

    Attributes:
        class_names: one name per class id.
        preprocessing: how pictures are brought to the network's input size.
        stride: largest stride of the network, in pixels.
        precision: arithmetic that the engine is asked for.
        quantised: whether the network itself holds numbers of 8 bits, whatever the engine is asked for.
        head: layout of the network's raw output (see `sightline_export`).
        score_floor: lowest effective score threshold, 0 to 1.
        iou_threshold: IoU above which non-maximum suppression drops the weaker box, 0 to 1.
        max_detections: output slots per image.
        multi_label: whether every class of a box above the threshold is a detection of its own; otherwise a box has its
            best class only.
        square_because: why its network sees squares where nobody chose between them and rectangles; empty where it sees
            rectangles, or somebody chose.
        source: name of the file it was exported from.
        source_sha256: that file's SHA-256, in hexadecimal.
        versions: versions of what exported it, by package.
        verification: how it was compared with its source; None where it does not tell.
    """

    class_names: tuple[str, ...]
    preprocessing: Preprocessing = field(default_factory=Preprocessing.letterbox)
    stride: int = 32
    precision: ServedPrecision = "fp32"
    quantised: bool = False
    head: str = ""
    score_floor: float = SCORE_FLOOR
    iou_threshold: float = DEFAULT_IOU_THRESHOLD
    max_detections: int = DEFAULT_MAX_DETECTIONS
    multi_label: bool = False
    square_because: str = ""
    source: str = ""
    source_sha256: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    verification: Verification | None = None

    def __post_init__(self) -> None:
        if not self.class_names:
            raise InvalidOptionError("a detector needs at least one class name")
        if self.precision not in SERVED_PRECISIONS:
            raise InvalidOptionError(f"precision {self.precision!r} is not one of {', '.join(SERVED_PRECISIONS)}")
        check_fraction("IoU threshold", self.iou_threshold)
        check_fraction("score floor", self.score_floor)
        if self.max_detections < 1:
            raise InvalidOptionError(f"max_detections is {self.max_detections}; it must be at least 1")
        for name in ("multi_label", "quantised"):
            if not isinstance(value := getattr(self, name), bool):
                raise InvalidOptionError(f"{name} is {value!r}; it must be true or false")

    def to_parameters(self) -> dict[str, str]:
        """Values for `parameters` of `config.pbtxt`, by full name: text as it is, the rest as JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["preprocessing"] = self.preprocessing.model_name
        values["versions"] = dict(sorted(self.versions.items()))
        verification = values.pop("verification")
        if not self.square_because:
            del values["square_because"]
        if verification is not None:
            values["verification"] = verification.to_json()
        named = {PARAMETER_PREFIX + name: _encode_parameter(value) for name, value in values.items()}
        return {CONTRACT_VERSION_PARAMETER: str(CONTRACT_VERSION), **named}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> DetectorInfo:
        """Read back what `to_parameters` wrote.

        Raises:
            ContractMismatchError: parameters are missing, unreadable, or of another contract version.
        """
        check_contract_version(parameters, again="export the model again with `sightline export`")
        try:
            values = {f.name: _decode_parameter(f.name, parameters) for f in fields(cls) if f.name not in _OPTIONAL}
            values["class_names"] = tuple(values["class_names"])
            values["preprocessing"] = Preprocessing.parse(values["preprocessing"])
            values["square_because"] = parameters.get(PARAMETER_PREFIX + "square_because", "")
            verification = parameters.get(PARAMETER_PREFIX + "verification")
            values["verification"] = None if verification is None else Verification.from_json(verification)
            return cls(**values)
        except (KeyError, ValueError, TypeError) as error:
            raise ContractMismatchError(f"parameters are incomplete or unreadable: {error}") from error


_OPTIONAL = frozenset({"verification", "square_because"})
_TEXT_PARAMETERS = frozenset({"precision", "preprocessing", "head", "source", "source_sha256"})


def _encode_parameter(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _decode_parameter(name: str, parameters: Mapping[str, str]) -> Any:
    text = parameters[PARAMETER_PREFIX + name]
    return text if name in _TEXT_PARAMETERS else json.loads(text)
