"""Ask every rule about every model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sightline.errors import InvalidOptionError
from sightline_export.lint import (
    rules_config,
    rules_contract,
    rules_dali,
    rules_ensemble,
    rules_files,
    rules_group,
    rules_onnx,
    rules_plan,
    rules_warmup,
)
from sightline_export.lint.findings import Finding, Problem, Rule
from sightline_export.lint.folders import ModelFolder, Repository, read_repository

RULES: tuple[Rule, ...] = (
    *rules_files.RULES,
    *rules_config.RULES,
    *rules_ensemble.RULES,
    *rules_group.RULES,
    *rules_contract.RULES,
    *rules_warmup.RULES,
    *rules_dali.RULES,
    *rules_onnx.RULES,
    *rules_plan.RULES,
)
EMPTY_REPOSITORY = "empty-repository"


def lint(repository: Path) -> list[Finding]:
    """Everything that is wrong in a model repository, by model in alphabetical order; nothing is executed or changed.

    Raises:
        InvalidOptionError: `repository` is not a folder that can be listed.
    """
    if not repository.is_dir():
        raise InvalidOptionError(
            f"{repository} is not a folder; give the folder whose subfolders are models, such as model_repository"
        )
    try:
        content = read_repository(repository)
    except OSError as error:
        raise InvalidOptionError(f"{repository} cannot be listed: {error}") from error
    if not content.models:
        return [_empty()]
    return [finding for model in content.models.values() for finding in _lint_model(model, content)]


def _lint_model(model: ModelFolder, content: Repository) -> Iterator[Finding]:
    for rule in RULES:
        if rule.needs_config and model.bad_config is not None:
            continue
        for problem in rule.check(model, content):
            yield _finding(rule, problem, model, content)


def _finding(rule: Rule, problem: Problem, model: ModelFolder, content: Repository) -> Finding:
    return Finding(
        severity=problem.severity,
        model=model.name,
        path=problem.path.relative_to(content.path),
        line=problem.line,
        rule=rule.name,
        message=problem.message,
        fix=problem.fix,
    )


def _empty() -> Finding:
    return Finding(
        severity="error",
        model="",
        path=Path(),
        line=None,
        rule=EMPTY_REPOSITORY,
        message="there is no model in this folder",
        fix="put one there: sightline export CHECKPOINT --repository THIS_FOLDER",
    )
