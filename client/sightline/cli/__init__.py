"""The `sightline` command. Each subcommand is a module of this package, imported only when it is used."""

from __future__ import annotations

import importlib
import os
import sys

import click

from sightline.cli._signals import sigterm_as_interrupt
from sightline.errors import SightlineError

COMMANDS = {
    "bench": "Measure this machine's server beside what people use today.",
    "check": "Lint a model repository: what is wrong, where, and the fix.",
    "demo": "Serve the bundled detector, detect in the bundled pictures, stop.",
    "detect": "Find objects in pictures through a running server.",
    "doctor": "Say what will work on this machine and what will not.",
    "evaluate": "Measure a served detector on annotated pictures.",
    "export": "Turn a checkpoint or an ONNX file into a served model.",
    "group": "Make one model of several detectors, which share one decode.",
    "models": "List what a running server serves.",
    "profile": "Say where a detector's time goes, layer by layer and step by step.",
    "serve": "Run the embedded Triton until Ctrl-C.",
    "tensorrt": "Build TensorRT plans, list them, check them, go back to an older one.",
    "tune": "Find the fastest settings of a detector on this machine.",
    "sizing": "Compute the memory pools that a model repository needs.",
}
"""Every subcommand's name and one line about it; its module has the same name and holds a click command `command`."""


class _LazyGroup(click.Group):
    """Knows its commands by name, so that `sightline detect` never imports what only `sightline export` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sightline")
def cli() -> None:
    """Object detection inside NVIDIA Triton: encoded images in, boxes in original pixels out."""


def main() -> None:
    """Entry point: our own errors become one message on stderr and exit status 1; SIGTERM stops a command cleanly."""
    # gRPC writes to stderr by itself what our own messages say, such as why TLS failed.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    with sigterm_as_interrupt():
        try:
            cli()
        except SightlineError as error:
            from sightline.sources import printable

            # A message may quote a file that wants to command the terminal.
            click.secho("error: " + "\n".join(map(printable, str(error).splitlines())), err=True, fg="red")
            sys.exit(1)
