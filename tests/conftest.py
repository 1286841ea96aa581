"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED_DATA = CHECKOUT.parent / "shared" / "data"


def skip_or_fail(reason: str) -> None:
    """Skip on a developer's machine; fail under CI, where everything must be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real weights, images and broken files beside the checkout."""
    if not SHARED_DATA.is_dir():
        skip_or_fail(f"needs the test data folder {SHARED_DATA}")
    return SHARED_DATA
