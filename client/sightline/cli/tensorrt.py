"""`sightline tensorrt`: networks as plans for this machine's GPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sightline import contract
from sightline.cli._repository import repository_option
from sightline.errors import ExportError, MissingDependencyError

if TYPE_CHECKING:
    from sightline_export.tensorrt.build import Outcome
    from sightline_export.tensorrt.plans import PlanVersion

_COLOURS = {"built": "green", "switched": "green", "failed": "red", "no plan": "yellow", "rolled back": "yellow"}
# The key goes through a pipe: whoever lists processes sees their arguments.
_RELOAD = (
    "printf 'sightline-admin-key: %s' \"$(cat ADMIN_KEY_FILE)\" | "
    "curl --fail --request POST --header @- http://127.0.0.1:{port}/v2/repository/models/{model}/load"
)
_plans = click.option(
    "--plans",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("plan_repository"),
    show_default=True,
    help="The repository of plans, complete by itself.",
)
_repository = repository_option("What `sightline export` wrote.")


@click.group(
    epilog="""\b
Examples:
  sightline tensorrt build               every detector of model_repository/
  sightline tensorrt list
  sightline tensorrt check               do the plans fit this machine?
  sightline tensorrt rollback yolov8n

A running server serves the new or the old version when it is told to load the detector again; build and rollback print
the commands.
"""
)
def command() -> None:
    """Turn the networks of a model repository into TensorRT plans.

    A plan runs only on the TensorRT and the sort of GPU that built it, so build where you serve: in the container
    (`docker compose run --rm export`), or with the trtexec of the TensorRT that serves.
    """


@command.command(
    epilog="""\b
Examples:
  sightline tensorrt build
  sightline tensorrt build yolov8n --precision fp32
  sightline tensorrt build --repository /models --plans /plans --cache /cache
"""
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_repository
@_plans
@click.option(
    "--precision",
    type=click.Choice(contract.PLAN_PRECISIONS),
    default=contract.PLAN_PRECISIONS[0],
    show_default=True,
    help="Arithmetic of the network; what decodes its boxes and suppresses them stays in FP32.",
)
@click.option("--opt-batch", type=int, help="Images in the batch that the plan is tuned for.  [default: 8]")
@click.option("--workspace-mib", type=int, help="GPU memory for a layer's intermediate results.  [default: 4096]")
@click.option("--timeout", "timeout_seconds", type=float, help="Longest for one network, in seconds.  [default: 3600]")
@click.option("--keep", type=int, help="Versions of a network that stay, to go back to.  [default: 3]")
@click.option(
    "--sample",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Pictures to compare on, of what the detector was trained for; without it, those that come with Sightline.",
)
@click.option(
    "--min-match",
    type=click.FloatRange(0, 1),
    help="Share of the served detections that the plan's graph must find too.  [default: 0.97]",
)
@click.option("--force", is_flag=True, help="Build anew what is up to date.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="For TensorRT's timing cache and trtexec's logs.  [default: ~/.cache/sightline/tensorrt]",
)
def build(names: tuple[str, ...], repository: Path, plans: Path, **choices: Any) -> None:
    """Build the plans of the detectors NAME, or of all, where they are not up to date.

    Before trtexec begins, the changed graph must find in sample pictures what the served one finds. A finished plan is
    a new version; the repository switches to it at once, or stays as it was. The exit status is 1 if a build failed.
    """
    build_plans, options_type = _import_build()
    options = options_type(**{name: value for name, value in choices.items() if value is not None})
    outcomes: list[Outcome] = []
    for outcome in build_plans(repository, plans, names=names, options=options, progress=click.echo):
        outcomes.append(outcome)
        _print_outcome(outcome)
    _print_reload(plans, [outcome.detector for outcome in outcomes if outcome.state in ("built", "switched")])
    if any(outcome.state == "failed" or (names and outcome.state == "no plan") for outcome in outcomes):
        sys.exit(1)


@command.command(
    name="list",
    epilog="""\b
Examples:
  sightline tensorrt list
  sightline tensorrt list --plans /plans
""",
)
@_plans
def list_command(plans: Path) -> None:
    """List every version of every plan; the served ones have a star."""
    from sightline_export.tensorrt.plans import list_plans

    found = list(list_plans(plans))
    for plan in found:
        click.echo(" ".join(_facts(plan)))
    if not found:
        click.echo(f"{plans} has no plan: `sightline tensorrt build` builds them")


@command.command(
    epilog="""\b
Examples:
  sightline tensorrt check
  sightline tensorrt check --plans /plans --repository /models
"""
)
@_plans
@_repository
def check(plans: Path, repository: Path) -> None:
    """Say which served plan does not fit this machine, is damaged, or was built from another ONNX file.

    The exit status is 1 if there is one; the command that builds it anew is printed.
    """
    from sightline_export.tensorrt.manifest import PlanError, faults
    from sightline_export.tensorrt.plans import outdated

    if not plans.is_dir():
        raise ExportError(f"{plans} is not there: `sightline tensorrt build` makes it")
    try:
        found = [*faults(plans), *outdated(plans, repository)]
    except PlanError as error:
        raise ExportError(str(error)) from error
    for message in found:
        click.secho(message, fg="red")
    if found:
        click.echo(f"build it for this machine: sightline tensorrt build --repository {repository} --plans {plans}")
        sys.exit(1)
    click.secho("every plan fits this machine", fg="green")


@command.command(
    epilog="""\b
Examples:
  sightline tensorrt rollback yolov8n
  sightline tensorrt rollback yolov8n --to 3
"""
)
@click.argument("name")
@_plans
@click.option("--to", type=int, help="Version; without it, the newest below the served one.")
def rollback(name: str, plans: Path, to: int | None) -> None:
    """Serve an older version of the detector NAME again.

    Later builds leave it so until there is another ONNX file, TensorRT, GPU or option to build for.
    """
    from sightline_export.tensorrt.manifest import PlanError
    from sightline_export.tensorrt.plans import roll_back

    try:
        version = roll_back(plans, name, to=to).version
    except (PlanError, OSError) as error:
        raise ExportError(f"{plans}: {error}") from error
    click.secho(f"{name}: version {version} is to be served", fg="green")
    _print_reload(plans, [name])


def _print_outcome(outcome: Outcome) -> None:
    version = f", version {outcome.version} is served" if outcome.version else ""
    reason = f": {outcome.reason}" if outcome.reason else ""
    colour = _COLOURS.get(outcome.state)
    click.secho(f"{outcome.detector}: {outcome.state}{version}{reason}", fg=colour, err=outcome.state == "failed")


def _print_reload(plans: Path, detectors: list[str]) -> None:
    if not detectors:
        return
    from sightline_export.group_config import groups_in

    groups = [group for group, members in groups_in(plans).items() if not set(members).isdisjoint(detectors)]
    click.echo("a server that runs with these plans goes over to them, without a pause, by")
    # The detector first, which loads its network too: a network of other shapes that is loaded by itself ends its
    # detector. The network then, as only that answer says whether it was loaded.
    models = [model for detector in detectors for model in (detector, contract.network_name(detector))]
    for model in (*models, *groups):
        click.echo(f"  {_RELOAD.format(port=contract.DEFAULT_HTTP_PORT, model=model)}")
    if groups:
        click.echo(
            f"where a plan has other shapes than the one before, {', '.join(groups)} cannot answer until loaded, which "
            "is why groups come last, at once after their members"
        )


def _facts(plan: PlanVersion) -> Iterator[str]:
    yield f"{'*' if plan.served else ' '} {plan.detector} {plan.version}:"
    if plan.manifest is None:
        yield "its manifest cannot be read"
        return
    known = plan.manifest
    yield f"{known.precision}, batch {known.min_batch} to {known.max_batch} (tuned for {known.opt_batch}),"
    yield f"TensorRT {known.tensorrt}, {known.gpu} ({known.compute_capability}),"
    yield f"{known.plan_bytes / 1e6:.1f} MB, {known.built_at}{', rolled back' if known.rolled_back else ''}"


def _import_build() -> tuple[Any, Any]:
    try:
        from sightline_export.tensorrt.build import build_plans
        from sightline_export.tensorrt.options import BuildOptions
    except ImportError as error:
        raise MissingDependencyError(
            f"`sightline tensorrt build` needs the tensorrt extra ({error}): pip install 'sightline[tensorrt]'"
        ) from error
    return build_plans, BuildOptions
