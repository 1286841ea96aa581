"""From an FP32 network to one that computes in 8 bits.

    calibration = open_calibration(folder, tell=print)
    network = quantise(raw, calibration)

Needs the `quantise` extra, which is imported only when something is quantised.
"""

from __future__ import annotations

from .calibration import Calibration, open_calibration
from .network import check_installed, quantise

__all__ = ["Calibration", "check_installed", "open_calibration", "quantise"]
