"""Rules about groups: their members must be there, and be what they were when the group was made."""

from __future__ import annotations

from collections.abc import Iterator

from sightline import contract
from sightline.errors import ContractMismatchError
from sightline.groups import LEAST_MEMBERS
from sightline_export.lint.findings import Problem, Rule, error
from sightline_export.lint.folders import ModelFolder, Repository
from sightline_export.lint.group_fit import changes, infos_of, members_of


def _group_members(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if not model.is_group:
        return
    names = members_of(model)
    line = model.line_of("parameters", f'"{contract.MEMBERS_PARAMETER}"')
    if isinstance(names, ContractMismatchError):
        fix = f"sightline group {model.name} DETECTOR DETECTOR ... --replace --repository {repository.path}"
        yield error(model.config_path, str(names), fix, line)
        return
    for name in names:
        if contract.network_name(name) not in repository.models:
            message = f"member {name!r} is not in this repository; the group will not load"
            fix = f"export {name} again, or do without it: {_again(model, repository, without=name)}"
            yield error(model.config_path, message, fix, line)


def _group_stale(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    names = members_of(model) if model.is_group else ()
    infos = infos_of(model, repository)
    # A member that is missing, or whose own description is wrong, has its own finding.
    if isinstance(names, ContractMismatchError) or not names or len(infos) < len(names):
        return
    for name, what in changes(model, infos):
        subject = f"member {name!r} was replaced by another export since: {what}" if name else what
        line = model.line_of("step ", f'model_name: "{contract.network_name(name)}"') if name else None
        yield error(model.config_path, subject, _again(model, repository), line)


def _again(model: ModelFolder, repository: Repository, *, without: str = "") -> str:
    """The command that makes the group of what is there now."""
    names = members_of(model)
    kept = [] if isinstance(names, ContractMismatchError) else [name for name in names if name != without]
    if len(kept) < LEAST_MEMBERS:
        return f"sightline group {model.name} --remove --repository {repository.path}"
    return f"sightline group {model.name} {' '.join(kept)} --replace --repository {repository.path}"


RULES = (
    Rule("group-members", _group_members),
    Rule("group-stale", _group_stale),
)
