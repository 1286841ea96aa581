"""How every script in this folder is asked for its turns: it loads, says so, and then goes over images when told to.

A line of JSON on standard output when it has loaded, `{"ready": true}`. Then, for each line on standard input, which
holds a number of images, one pass over so many of them and a line such as `{"images": 48, "seconds": 2.5, "found": 9}`.
When standard input ends, so does the script. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

OnePass = Callable[[Sequence[str]], "int | Mapping[str, float] | None"]
"""Takes paths; gives the number of objects found, figures of its own by name, or neither."""


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with what all scripts take."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="text file with the path of an image in each line")
    return parser


def payload_arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with what scripts take that send a made-up payload to a server that runs already."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="HOST:PORT of the gRPC service")
    parser.add_argument("--model", required=True)
    parser.add_argument("--payload-bytes", type=int, default=100_000)
    parser.add_argument("--count", type=int, required=True, help="most requests in a pass, or images")
    return parser


def read_images(file: Path) -> list[str]:
    """The paths that such a file holds."""
    return file.read_text(encoding="utf-8").splitlines()


class Turns:
    """Takes standard output for the answers; what libraries print goes to standard error from then on."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def take(self, images: Sequence[str], one_pass: OnePass) -> None:
        """Answer until standard input ends."""
        self._say({"ready": True})
        for line in sys.stdin:
            chosen = images[: int(line)]
            begun = time.perf_counter()
            came = one_pass(chosen)
            answer: dict[str, Any] = {"images": len(chosen), "seconds": time.perf_counter() - begun}
            answer.update(came if isinstance(came, Mapping) else {"found": came})
            self._say(answer)

    def _say(self, answer: Mapping[str, Any]) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)
