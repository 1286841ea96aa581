"""Find what is wrong in a model repository before Triton does: what, where, and the fix."""

from __future__ import annotations

from sightline_export.lint.findings import Finding, Severity
from sightline_export.lint.runner import lint

__all__ = ["Finding", "Severity", "lint"]
