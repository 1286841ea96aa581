"""`config.pbtxt` of a network that is served as a plan."""

from __future__ import annotations

from dataclasses import replace

from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.contract import PlanPrecision
from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing
from sightline_export.config import network_config

_SQUARE_BECAUSE = "plans have one size of picture; the detector that this one was made of sees rectangles"


def plan_config(*, detector: str, info: DetectorInfo, version: int) -> pb.ModelConfig:
    """As `config.network_config`, but for a plan; serves that version and no other."""
    config = network_config(detector=detector, info=info, backend=contract.TENSORRT_BACKEND)
    config.version_policy.specific.versions.append(version)
    return config


def plan_info(info: DetectorInfo, precision: PlanPrecision) -> DetectorInfo:
    """What a detector tells about itself when its network is a plan.

    Its record of having been compared with its source stands for the arithmetic in which that was done only.
    """
    checked = info.verification
    if checked is not None and checked.verified and checked.precision not in ("", precision):
        checked = replace(checked, outcome="inconclusive")
    return replace(info, precision=precision, verification=checked)


def squared_info(info: DetectorInfo) -> DetectorInfo:
    """The facts of a detector when its network sees squares; as they are where it does.

    Its record of having been compared with its source stands for rectangles only.
    """
    if info.preprocessing.kind != "rect":
        return info
    checked = info.verification
    if checked is not None and checked.verified:
        checked = replace(checked, outcome="inconclusive")
    seen = Preprocessing.letterbox(info.preprocessing.sides[0])
    return replace(info, preprocessing=seen, square_because=_SQUARE_BECAUSE, verification=checked)
