"""Programs that are asked for passes: what they answer, what they use, and how they fail."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bench.small_programs import IMAGES, program, script

from sightline.errors import MeasurementError
from sightline_bench.contestants.program import Program, Recipe
from sightline_bench.measure.usage import lives

BURN = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"
BURN_A_CORE = "import time\nwhile time.process_time() < 0.4: pass"
UNTIL_ALONE = """
import os, time
owner = os.getppid()
while os.getppid() == owner:
    time.sleep(0.05)
time.sleep(1)
"""
READY = "print('{\"ready\": true}', flush=True)"


@contextmanager
def started(recipe: Recipe, **patience: float) -> Iterator[Program]:
    with Program(recipe, **patience) as running:
        running.wait_until_ready()
        yield running


def test_a_pass_has_what_the_program_says() -> None:
    with started(program("return 3 * len(paths)")) as running:
        passed = running.one_pass()
    assert (passed.images, passed.found, passed.details) == (IMAGES, 3 * IMAGES, {})


def test_a_program_that_finds_nothing_by_its_nature() -> None:
    with started(program("pass")) as running:
        assert running.one_pass().found is None


def test_a_program_may_measure_by_itself() -> None:
    with started(program("return {'letterbox_ms': 0.5}")) as running:
        passed = running.one_pass()
    assert passed.details == {"letterbox_ms": 0.5}
    assert passed.found is None


def test_what_libraries_print_is_no_answer() -> None:
    with started(program("print('found a new version')\nreturn 1")) as running:
        assert running.one_pass().found == 1


def test_a_program_goes_over_as_many_images_as_it_is_told() -> None:
    with started(replace(program("return len(paths)"), images=2)) as running:
        assert running.one_pass().images == 2


def test_a_sleep_is_in_the_seconds_and_not_in_the_processor_time() -> None:
    with started(program("time.sleep(0.5)")) as running:
        passed = running.one_pass()
    assert passed.seconds >= 0.5
    assert passed.cpu_seconds < 0.25


def test_the_processor_time_of_a_child_counts() -> None:
    with started(program(BURN.format(BURN_A_CORE))) as running:
        assert running.one_pass().cpu_seconds > 0.35


def test_the_memory_of_a_pass_is_seen_though_it_is_freed() -> None:
    with started(program("data = b'x' * 100_000_000\ntime.sleep(0.2)")) as running:
        peaks = running.warm_up()
    assert peaks.total > 100_000_000
    assert running.peaks is peaks


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "raise SystemExit('no weights there')",
            "ended while it was asked to load, with exit status 1.*no weights there",
        ),
        ("print('hello')", "printed 'hello' where a line of JSON was due"),
        ("print('[1]')", r"printed '\[1\]' where a line of JSON was due"),
        ("print('{}')", "said {} where it ought to say that it is ready"),
    ],
)
def test_a_program_that_does_not_load_is_an_error(text: str, words: str) -> None:
    with Program(script(text)) as running, pytest.raises(MeasurementError, match=words):
        running.wait_until_ready()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{READY}; input(); raise SystemExit('out of memory')", "ended while it was asked for a pass.*out of memory"),
        (f"{READY}; input(); import os; os.kill(os.getpid(), 9)", "by SIGKILL"),
        (f"{READY}; input(); print('Segmentation fault')", "printed 'Segmentation fault' where a line of JSON was due"),
        (f"{READY}; input(); print('{{\"images\": 4}}')", "is no pass.*seconds"),
        (f'{READY}; input(); print(\'{{"images": 4, "seconds": "soon"}}\')', "is no pass.*soon"),
        (f'{READY}; input(); print(\'{{"images": 4, "seconds": 0}}\')', "is no pass.*0 seconds"),
        (f'{READY}; input(); print(\'{{"images": 3, "seconds": 1}}\')', "is no pass.*3 images, not 4"),
    ],
)
def test_a_program_that_fails_in_a_pass_is_an_error(text: str, words: str) -> None:
    with started(script(text)) as running, pytest.raises(MeasurementError, match=words):
        running.one_pass()


def test_a_program_that_ends_between_passes_is_an_error() -> None:
    with started(script(READY)) as running, pytest.raises(MeasurementError, match="ended"):
        running.one_pass()


def test_a_program_that_hangs_is_an_error_and_is_ended() -> None:
    with Program(script("import time; time.sleep(600)"), loading_seconds=0.2, ending_seconds=0.2) as running:
        with pytest.raises(MeasurementError, match="took too long to load"):
            running.wait_until_ready()
        pid = running.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("child", "own_session", "patience"),
    [
        ("import time; time.sleep(600)", False, 60.0),
        ("import time; time.sleep(600)", True, 0.2),
        (
            "import os, time\nowner = os.getppid()\nwhile os.getppid() == owner: time.sleep(0.05)\ntime.sleep(1)",
            True,
            60.0,
        ),
    ],
    ids=["in its session", "in another session", "another session, ending in order"],
)
def test_what_a_program_started_ends_with_it(tmp_path: Path, child: str, own_session: bool, patience: float) -> None:
    file = tmp_path / "pid"
    body = f"""
import subprocess, sys
with open({str(file)!r}, "w") as file:
    command = [sys.executable, "-c", {child!r}]
    print(subprocess.Popen(command, start_new_session={own_session}).pid, file=file)
time.sleep(0.5)
"""
    with started(program(body), ending_seconds=0.2, orphan_seconds=patience) as running:
        running.one_pass()
        (life,) = lives([int(file.read_text())])
    deadline = time.monotonic() + (5 if patience < 1 else 0)
    while life.goes_on() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not life.goes_on()


def test_a_life_is_not_that_of_a_later_process() -> None:
    (own,) = lives([os.getpid()])
    assert own.goes_on()
    assert not replace(own, began="1").goes_on()
    assert lives([2**22 + 1]) == []


def test_options_are_added_and_shown() -> None:
    recipe = program("pass").having(threads=2).having(batch=8)
    assert recipe.settings == {"threads": 2, "batch": 8}
    assert recipe.command[-4:] == ("--threads", "2", "--batch", "8")
