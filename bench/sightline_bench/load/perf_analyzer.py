"""NVIDIA's perf_analyzer: found or installed, run, and its report read.

    python -m sightline_bench.load.perf_analyzer FOLDER

installs it into a folder and prints the command; `sightline bench` does the same in its working folder, once.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from sightline.errors import MeasurementError, SightlineError
from sightline_bench.load.loads import PERCENTILES, Load, Measured
from sightline_bench.load.payloads import write_input_data
from sightline_bench.material.workshop import Workshop, run_command
from sightline_server.locate import locate_triton

NAME = "perf_analyzer"
WHEEL = "tritonclient==2.51.0"
"""The newest wheel of Triton's client that carries perf_analyzer and runs with glibc 2.35."""
_PLATFORM = "x86_64-manylinux_2_35"
_LIBRARIES = (("libb64.so.0d", "libb64-*.so.0d"), ("libcudart.so.12", "libcudart-*.so.12*"))
"""What the program asks for, and what the copies in nvidia-pytriton's wheel are called."""
_OUTPUT_BYTES = 8192
"""Of shared memory for each output of an image; the largest, the boxes, has 4,800."""
_MOST_THREADS = 64
_LIMIT_SECONDS = 180
_WINDOW_MS, _WINDOW_OF_BATCHES_MS, _ANY_PERCENTAGE = 1000, 2000, 1_000_000
"""Three windows, which it takes the mean of however far they are apart: rounds show the spread. Requests of several
images take as many times longer."""
_SHOWN_CHARACTERS = 1500
_DELAYED = re.compile(r"[\d.]+% of the requests were delayed")


@dataclass(frozen=True)
class PerfAnalyzer:
    """The program.

    Attributes:
        program: its file.
        environment: variables that it needs besides this process's own.
    """

    program: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """The whole environment to run it in."""
        return {**os.environ, **self.environment}

    def version(self) -> str:
        """What it says of itself.

        Raises:
            MeasurementError: it does not run here.
        """
        done = self._run(["--version"])
        if done.returncode != 0:
            said = done.stdout.strip()[-_SHOWN_CHARACTERS:]
            raise MeasurementError(f"{self.program} does not run here, it ended with {done.returncode}: {said}")
        return done.stdout.strip()

    def measure(self, load: Load, *, url: str, model: str, payloads: Sequence[bytes]) -> Measured:
        """Send a load.

        Args:
            load: what to send.
            url: `HOST:PORT` of the service of the load's protocol.
            model: a detector.
            payloads: image files, one after another, again and again.

        Raises:
            MeasurementError: it failed.
        """
        with tempfile.TemporaryDirectory() as folder:
            data, report = Path(folder) / "data.json", Path(folder) / "report.csv"
            write_input_data(data, payloads, batch=load.batch)
            words = [*_options(load), "-m", model, "-u", url, "--input-data", str(data), "-f", str(report)]
            said = self._run(words).stdout
            if not report.is_file():
                words_of_its_own = said.partition("\nUsage:")[0][-_SHOWN_CHARACTERS:]
                raise MeasurementError(f"perf_analyzer gave no report for {load.title}: {words_of_its_own}")
            row = read_report(report)
        delayed = _DELAYED.search(said)
        return Measured(
            load=load,
            generator=NAME,
            images_per_second=row.images_per_second,
            latency_ms=row.latency_ms,
            note=f"perf_analyzer was late: {delayed[0]}" if delayed else "",
        )

    def _run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Its end, with all that it printed as standard output: what it is, it says on standard error."""
        command = [str(self.program), *words]
        try:
            return subprocess.run(
                command,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_LIMIT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MeasurementError(f"perf_analyzer could not run: {error}") from error


@dataclass(frozen=True)
class Row:
    """What stands in a report: images per second, and milliseconds by percentile."""

    images_per_second: float
    latency_ms: Mapping[int, float]


def read_report(file: Path) -> Row:
    """The one row of a CSV report.

    Raises:
        MeasurementError: there is not one row, or it lacks what is looked for.
    """
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if len(rows) != 1:
        raise MeasurementError(f"perf_analyzer's report {file.name} has {len(rows)} rows; one was asked for")
    (row,) = rows
    try:
        latency_ms = {part: float(row[f"p{part} latency"]) / 1000 for part in PERCENTILES}
        return Row(float(row["Inferences/Second"]), latency_ms)
    except (KeyError, ValueError) as error:
        raise MeasurementError(f"perf_analyzer's report {file.name} is not as expected: {error!r} in {row}") from error


def find(given: Path | None, workshop: Workshop) -> PerfAnalyzer:
    """The given program, else the one on the PATH, else one that is installed into the working folder, once.

    Raises:
        MeasurementError: the given one does not run, or none can be installed; the message says why.
    """
    on_path = shutil.which(NAME)
    if given is not None or on_path is not None:
        found = PerfAnalyzer(given or Path(str(on_path)))
    else:
        found = _command(workshop.once(NAME, of=[WHEEL, _PLATFORM], make=_download))
    found.version()
    return found


def install(folder: Path) -> PerfAnalyzer:
    """Put it into a folder, from the wheel of Triton's client and with libraries of nvidia-pytriton's.

    Raises:
        MeasurementError: the wheel cannot be had, or the program does not run here.
    """
    _download(folder)
    return _command(folder)


def _download(folder: Path) -> None:
    words = ["install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", str(folder / "wheel")]
    if find_spec("pip"):
        command = [sys.executable, "-m", "pip", *words, "--platform", "manylinux_2_35_x86_64"]
    else:
        command = [_uv(), "pip", *words, "--python", sys.executable, "--python-platform", _PLATFORM]
    run_command([*command, WHEEL])
    (folder / "wheel" / "bin" / NAME).chmod(0o755)


def _uv() -> str:
    """The command `uv`, or the one that `make install` has brought."""
    ours = Path(__file__).resolve().parents[3] / ".uv" / "bin" / "uv"
    found = shutil.which("uv") or (str(ours) if ours.is_file() else None)
    if found is None:
        raise MeasurementError(f"neither uv nor pip is there to install {WHEEL} with; give --perf-analyzer PATH")
    return found


def _command(folder: Path) -> PerfAnalyzer:
    """The program of such a folder; the libraries are looked up anew, as the environment may have moved."""
    try:
        libraries = locate_triton().libraries
    except SightlineError as error:
        raise MeasurementError(f"perf_analyzer needs libraries of nvidia-pytriton: {error}") from error
    links = folder / "lib"
    links.mkdir(exist_ok=True)
    for name, pattern in _LIBRARIES:
        (links / name).unlink(missing_ok=True)
        (links / name).symlink_to(next(libraries.glob(pattern)))
    path = os.pathsep.join(filter(None, [str(links), str(libraries), os.environ.get("LD_LIBRARY_PATH")]))
    return PerfAnalyzer(folder / "wheel" / "bin" / NAME, {"LD_LIBRARY_PATH": path})


def _options(load: Load) -> list[str]:
    words = ["-i", load.protocol, "-b", str(load.batch)]
    # Not --request-count: then it looks once a second whether all are done, and takes whole seconds for the time.
    window_ms = _WINDOW_MS if load.batch == 1 else _WINDOW_OF_BATCHES_MS
    words += ["--measurement-interval", str(window_ms), "--stability-percentage", str(_ANY_PERCENTAGE)]
    if load.concurrency:
        words += ["--concurrency-range", str(load.concurrency)]
    else:
        words += ["--request-rate-range", f"{load.request_rate:g}", "--request-distribution", "poisson"]
        words += ["--max-threads", str(_MOST_THREADS)]
    if load.shared_memory:
        words += ["--shared-memory", "system", "--output-shared-memory-size", str(_OUTPUT_BYTES)]
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Install it, and say how to run it."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if len(words) != 1 or words[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        made = install(Path(words[0]).resolve())
        print(made.version())
    except MeasurementError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"LD_LIBRARY_PATH={made.environment['LD_LIBRARY_PATH']} {made.program}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
