"""What the comparison of quantising tools is given, and how it is written."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from sightline_bench.quantisation import Row, parse_also, table


def test_files_made_elsewhere_are_named(tmp_path: Path) -> None:
    named = tmp_path / "plain.onnx"
    named.touch()
    assert parse_also(f"NVIDIA ModelOpt={named}") == ("NVIDIA ModelOpt", named)
    for wrong in (str(named), f"={named}", f"ModelOpt={tmp_path / 'missing.onnx'}"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not NAME=FILE with a file that is there"):
            parse_also(wrong)


def test_times_are_compared_with_the_first_row() -> None:
    written = table([Row("FP32", "OpenVINO", 0.379, 1.0, 50.0), Row("other", "OpenVINO", 0.37, 0.915, 25.0)])
    assert written.splitlines()[-1] == "| other | OpenVINO | 37.00 | 91.5% | 25 | 0.50 |"
