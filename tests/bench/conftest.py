"""What tests of the benchmarks have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline_bench.material.workshop import Workshop
from sightline_bench.ratios.registry import Setting


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """Of a quick run without images, which tells nobody anything."""

    def tell(line: str) -> None:
        """Nobody listens."""

    return Setting(
        workshop=Workshop(tmp_path / "work", tell),
        images=(),
        images_title="no images",
        weights=None,
        cores=2,
        rounds=3,
        quick=True,
        bf16=False,
        tell=tell,
    )
