"""Runs the job and writes its file of results and its page; see the package."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from sightline.doctor.cpu import bf16_pays, probe_cpu
from sightline.errors import SightlineError
from sightline_bench import job_25k
from sightline_bench.job_25k.checks import check
from sightline_bench.job_25k.job import Job, run_job
from sightline_bench.job_25k.names import link_names
from sightline_bench.job_25k.outcome import section_of
from sightline_bench.job_25k.page import page, plots
from sightline_bench.job_25k.section import SECTION
from sightline_bench.material.exports import export_group
from sightline_bench.material.five import five_checkpoints
from sightline_bench.material.photos import find_images
from sightline_bench.material.workshop import Workshop
from sightline_bench.measure.machine import describe_commit, describe_machine, describe_versions
from sightline_bench.measure.results import Results, write_results
from sightline_export.sample import BUNDLED_FOLDER

_COUNT = 25_000
_FORMATS = ("jsonl", "coco", "yolo", "annotated")
_CHECKOUT = Path(__file__).resolve().parents[3]
_OK, _NOT_SOUND, _PARTIAL = 0, 1, 130


def main(words: Sequence[str] | None = None) -> int:
    """Make, run, check, write."""
    given = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(given)
    except SightlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return _NOT_SOUND
    except KeyboardInterrupt:
        print("ended before the job began; nothing was measured", file=sys.stderr)
        return _PARTIAL


def _run(given: argparse.Namespace) -> int:
    began, clock = datetime.now(timezone.utc), time.monotonic()
    machine, commit = describe_machine(), describe_commit()
    workshop = Workshop(given.work.resolve(), _tell)
    images = find_images(given.images)
    members, note = five_checkpoints(given.weights, workshop, images)
    exported = export_group(workshop, "five", members, given.precision)
    names = link_names(images, given.count, workshop.folder / "names")
    job = Job(
        exported=exported,
        names=workshop.folder / "names",
        count=given.count,
        output=workshop.scratch("results"),
        formats=given.format,
        every_seconds=given.every,
        tell=_tell,
    )
    course = run_job(job)
    _tell("checking the results")
    models = [weights.file.stem for weights in members]
    checks = check(job.output, names, models, job.formats, partial=course.interrupted)
    notes = [f"Weights: {note}."] if note else []
    section = section_of(job, course, checks, pictures=min(len(images), given.count), notes=notes)
    environment = {
        "command": shlex.join(["python", "-m", job_25k.__name__, *sys.argv[1:]]),
        "began": began.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - clock, 1),
        "machine": machine,
        "versions": describe_versions(),
        **commit,
    }
    _write(Results(figures={}, sections={SECTION: section}, environment=environment), given.json)
    return _PARTIAL if course.interrupted else _NOT_SOUND if checks.problems else _OK


def _write(results: Results, file: Path) -> None:
    write_results(file, results)
    text = page(results, file.stem)
    file.with_suffix(".md").write_text(text, encoding="utf-8")
    for name, plot in plots(results, file.stem).items():
        file.with_name(name).write_text(plot, encoding="utf-8")
    print(text)
    _tell(f"written: {file}, and beside it the page with its plots")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _formats(text: str) -> tuple[str, ...]:
    """Names separated by commas; `jsonl` is always among them, as it is what gets checked."""
    names = tuple(dict.fromkeys(("jsonl", *text.split(","))))
    if unknown := [name for name in names if name not in _FORMATS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is not one of {', '.join(_FORMATS)}")
    return names


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"is {number}; at least 1 is needed")
    return number


def _parser() -> argparse.ArgumentParser:
    precision = "bf16" if bf16_pays(probe_cpu().features) else "fp32"
    parser = argparse.ArgumentParser(
        prog=f"python -m {job_25k.__name__}",
        description=job_25k.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Ctrl-C ends the job early: what was measured is kept, and the page says that it is partial. Exit "
        "status: 0 when every file has its results and equal files have the same, 1 when not, 130 after Ctrl-C.",
    )
    parser.add_argument("--count", type=_at_least_one, default=_COUNT, help=f"names, {_COUNT:,} by default")
    parser.add_argument("--images", type=Path, default=BUNDLED_FOLDER, help="folder of pictures; else the bundled ones")
    parser.add_argument("--weights", type=Path, help="folder of checkpoints; a missing one is replaced, and told")
    parser.add_argument(
        "--work",
        type=Path,
        default=_CHECKOUT / "job-25k",
        help="folder for exports, which are kept, names and results; %(default)s by default",
    )
    parser.add_argument(
        "--precision", default=precision, choices=["fp32", "bf16"], help="of all networks; %(default)s here by default"
    )
    parser.add_argument(
        "--format", type=_formats, default=("jsonl", "coco"), help=f"what is written: {', '.join(_FORMATS)}; jsonl,coco"
    )
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks; %(default)s by default")
    parser.add_argument(
        "--json",
        type=Path,
        default=_CHECKOUT / "bench" / "results" / "job_25k.json",
        help="file of results; the page and its plots lie beside it; %(default)s by default",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
