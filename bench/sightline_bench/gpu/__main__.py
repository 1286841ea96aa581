"""`python -m sightline_bench.gpu`, which `bench/gpu.sh` runs."""

from __future__ import annotations

from sightline.cli._signals import sigterm_as_interrupt
from sightline_bench.gpu.command import command

if __name__ == "__main__":
    with sigterm_as_interrupt():
        command(prog_name="bench/gpu.sh")
