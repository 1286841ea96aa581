"""What can be chosen about plans."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightline.contract import PLAN_PRECISIONS, PlanPrecision, check_fraction
from sightline.errors import InvalidOptionError

DEFAULT_CACHE = Path("~/.cache/sightline/tensorrt")
DEFAULT_OPT_BATCH = 8
DEFAULT_WORKSPACE_MIB = 4096
DEFAULT_TIMEOUT_SECONDS = 3600
DEFAULT_KEEP = 3


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Choices about plans.

    Attributes:
        precision: arithmetic of the network; its head is FP32 in any case.
        opt_batch: images in the batch that the plan is tuned for; at most the detector's largest.
        workspace_mib: GPU memory that TensorRT may use for one layer's intermediate results, in MiB.
        timeout_seconds: longest that one network may take.
        keep: versions of a network that stay in the repository, the served one among them.
        force: whether a plan that is up to date is built anew.
        sample: folder of pictures on which the plan's graph is compared with the served one; None takes those that come
            with the package.
        min_match: share of the served graph's detections that the plan's graph must find too, 0 to 1; None takes 0.97.
        cache: folder for TensorRT's timing cache, trtexec's logs and unfinished plans; made if it is missing.

    Raises:
        InvalidOptionError: a value is not allowed.
    """

    precision: PlanPrecision = "fp16"
    opt_batch: int = DEFAULT_OPT_BATCH
    workspace_mib: int = DEFAULT_WORKSPACE_MIB
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    keep: int = DEFAULT_KEEP
    force: bool = False
    sample: Path | None = None
    min_match: float | None = None
    cache: Path = DEFAULT_CACHE

    def __post_init__(self) -> None:
        if self.precision not in PLAN_PRECISIONS:
            raise InvalidOptionError(f"precision {self.precision!r} is not one of {', '.join(PLAN_PRECISIONS)}")
        if self.min_match is not None:
            check_fraction("the share that must match", self.min_match)
        for name in ("opt_batch", "workspace_mib", "timeout_seconds", "keep"):
            if not getattr(self, name) >= 1:
                raise InvalidOptionError(f"{name} is {getattr(self, name)}; it must be at least 1")
