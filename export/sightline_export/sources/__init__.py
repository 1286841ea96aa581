"""Files that can become a served detector, and how each is read into a `RawNetwork`."""

from __future__ import annotations

from .load import load

__all__ = ["load"]
