"""Everything that one evaluation came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sightline.detector_info import DetectorInfo

from .categories import CategoryMatch
from .metrics import Metrics
from .protocol import Protocol
from .selection import Selection


@dataclass(frozen=True, kw_only=True)
class MeasuredDetector:
    """One detector's part.

    Attributes:
        description: what ran it.
        match: which of its classes is which category.
        metrics: what it reached.
        failed: why an image has no detections from it, by path; it counts as one in which nothing was found.
    """

    description: str
    match: CategoryMatch
    metrics: Metrics
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A served detector, and what it was compared with, over the same images.

    Attributes:
        model: the detector's name on the server.
        info: what it tells about itself.
        protocol: how it was measured.
        selection: which images, and which have no partner.
        served: what it reached.
        reference: what its source reached under the same protocol; None where it was not asked for.
        other_sizes: images whose size is not the one that the annotations tell: (file's, annotations'), both height and
            width in pixels, by path.
        unreadable: arguments that led to no image, and why.
        versions: versions of what measured, by package.
    """

    model: str
    info: DetectorInfo
    protocol: Protocol
    selection: Selection
    served: MeasuredDetector
    reference: MeasuredDetector | None = None
    other_sizes: Mapping[str, tuple[tuple[int, int], tuple[int, int]]] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Images and arguments that something went wrong with, on either side."""
        sides = [self.served] if self.reference is None else [self.served, self.reference]
        return len(self.unreadable) + sum(len(side.failed) for side in sides)
