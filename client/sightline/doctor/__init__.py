"""What will work on a machine and what will not: `sightline doctor`."""

from __future__ import annotations

from sightline.doctor.checks import Check, Status
from sightline.doctor.diagnosis import Diagnosis, diagnose, judge
from sightline.doctor.ways import Lack, Way

__all__ = ["Check", "Diagnosis", "Lack", "Status", "Way", "diagnose", "judge"]
