"""The record of how a detector was compared with its source."""

from __future__ import annotations

import dataclasses

import pytest

from sightline.errors import InvalidOptionError
from sightline.verification import Verification


def test_records_are_read_back() -> None:
    verification = Verification(outcome="passed", images=3, reference=120, matched=119, missing=1, worst_iou=0.5)
    assert Verification.from_json(verification.to_json()) == verification
    assert str(verification).startswith("verified: 119 of 120 matched in 3 images, 1 missing, 0 extra, worst IoU 0.5")
    with pytest.raises(InvalidOptionError, match="outcome 'fine' is not one of passed"):
        Verification(outcome="fine")  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="must be at least 0"):
        dataclasses.replace(verification, extra=-1)
