"""A model repository, a repository of plans, and programs in the place of NVIDIA's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.export.fake_tensorrt import FakeTensorRT

from sightline.contract import PlanPrecision
from sightline_export.lint import lint
from sightline_export.tensorrt.build import Outcome, build_plans
from sightline_export.tensorrt.manifest import faults, find_machine
from sightline_export.tensorrt.options import BuildOptions
from sightline_export.tensorrt.plans import list_plans


class Workshop:
    """A model repository with one detector, a repository of plans, and the programs."""

    def __init__(self, folder: Path, tools: FakeTensorRT) -> None:
        self.models, self.plans, self.cache = folder / "models", folder / "plans", folder / "cache"
        self.tools = tools
        self.progress: list[str] = []

    def build(self, *names: str, precision: PlanPrecision = "fp32", **choices: Any) -> list[Outcome]:
        options = BuildOptions(precision=precision, cache=self.cache, **choices)
        found = build_plans(self.models, self.plans, names=names, options=options, progress=self.progress.append)
        return list(found)

    def build_one(self, **choices: Any) -> Outcome:
        (outcome,) = self.build(**choices)
        return outcome

    @property
    def versions(self) -> dict[int, bool]:
        """Versions of the tiny detector, and whether each is served."""
        return {plan.version: plan.served for plan in list_plans(self.plans) if plan.detector == "tiny"}

    def check_whole(self) -> None:
        """Everything in the repository of plans belongs together."""
        assert lint(self.plans) == []
        assert faults(self.plans, find_machine()) == []
        assert not list(self.plans.rglob(".sightline*"))
        assert not list(self.cache.glob("work-*"))
