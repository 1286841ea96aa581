"""Every Dockerfile is linted, and the server's install lines run as they stand, outside of Docker."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import skip_or_fail
from tests.deploy.compose_file import CHECKOUT, read_compose, tracked
from tests.deploy.jail import jail
from tests.export.fake_tensorrt import FakeTensorRT

TOOLS = Path(sys.executable).parent
UV = shutil.which("uv") or str(CHECKOUT / ".uv" / "bin" / "uv")
FOLDER = "/opt/sightline"
"""Where the Dockerfiles install to."""


DOCKERFILES = tracked("*Dockerfile")


def relative(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=relative)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    done = subprocess.run([TOOLS / "hadolint", dockerfile], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=relative)
def test_an_image_runs_as_nobody_special_and_its_base_has_a_version(dockerfile: Path) -> None:
    lines = dockerfile.read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert re.fullmatch(r"[1-9]\d*:\d+", users[-1])
    stages = {line.split()[3] for line in lines if re.match(r"FROM \S+ AS ", line)}
    bases = {line.split()[1] for line in lines if line.startswith("FROM ")} - stages
    assert bases
    assert all(re.search(r":.*\$\{[A-Z]+_VERSION\}", base) for base in bases)


def test_every_dockerfile_is_built_by_a_service() -> None:
    built = {service["build"]["dockerfile"] for service in read_compose()["services"].values() if "build" in service}
    assert {relative(path) for path in DOCKERFILES} == built


def test_every_argument_is_given_by_its_service() -> None:
    for service in read_compose()["services"].values():
        if "build" not in service:
            continue
        text = (CHECKOUT / service["build"]["dockerfile"]).read_text(encoding="utf-8")
        named = set(re.findall(r"^ARG ([A-Z_]+)", text, re.MULTILINE))
        assert named == set(service["build"]["args"])


# --- what is installed ------------------------------------------------------------------------------------------
def install_commands(dockerfile: Path) -> list[str]:
    """The commands of its RUN instructions that install with uv."""
    joined = dockerfile.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.removeprefix("RUN ") for line in joined.splitlines() if line.startswith("RUN ")]
    commands = [command.strip() for line in lines for command in line.split("&&")]
    return [command for command in commands if command.startswith("uv ")]


def copy_context(target: Path) -> None:
    """What .dockerignore lets through."""
    patterns = [line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for path in tracked(*patterns):
        copied = target / path.relative_to(CHECKOUT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copied)


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that runs a Dockerfile's install commands, and returns the virtual environment that they made."""
    if not Path(UV).is_file():
        skip_or_fail("needs uv: `make` gets it into .uv")
    context = tmp_path_factory.mktemp("context")
    copy_context(context)
    made: dict[str, Path] = {}

    def run(dockerfile: str) -> Path:
        if dockerfile in made:
            return made[dockerfile]
        environment = tmp_path_factory.mktemp("image") / "sightline"
        commands = install_commands(CHECKOUT / dockerfile)
        assert len(commands) == 3
        for command in commands:
            # The image has one Python; here it is the one that runs the tests.
            words = command.replace(" --python /usr/bin/python3", "").replace(FOLDER, str(environment)).split()
            words[:1] = [UV]
            if words[1] == "venv":
                words += ["--quiet", "--python", sys.executable]
            subprocess.run(words, cwd=context, check=True, capture_output=True)
        made[dockerfile] = environment
        return environment

    return run


@pytest.mark.timeout(600)
def test_what_the_servers_image_installs_serves_with_the_rights_that_it_gets(
    install: Callable[[str], Path],
) -> None:
    installed = install("server/Dockerfile")
    text = (CHECKOUT / "server" / "Dockerfile").read_text(encoding="utf-8")
    program, *arguments = re.findall(r'"([^"]+)"', text[text.rindex("ENTRYPOINT [") :])
    arguments = ["127.0.0.1" if part == "0.0.0.0" else part for part in arguments]
    ports = [part for service in ("grpc", "http", "metrics") for part in (f"--{service}-port", "0")]
    # Its first line names the place where it was installed, not the one where it is now.
    entry = [f"{FOLDER}/bin/python", f"{FOLDER}/bin/{program}", *arguments, *ports]
    python = {} if sys.base_prefix.startswith("/usr") else {Path(sys.base_prefix): sys.base_prefix}
    command = [*jail(read_compose()["services"]["cpu"], {installed: FOLDER, **python}), *entry]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout
        printed = []
        for line in server.stdout:
            printed.append(line)
            if "Ctrl-C stops it" in line:
                server.send_signal(signal.SIGTERM)
        status = server.wait(timeout=60)
    assert "Triton is ready" in "".join(printed)
    assert "Stopped." in printed[-1]
    assert status in (0, 128 + signal.SIGTERM), "".join(printed)


@pytest.mark.timeout(600)
def test_what_the_export_image_installs_builds_the_plan_of_the_demo(
    install: Callable[[str], Path], demo_repository: Path, tmp_path: Path
) -> None:
    installed = install("export/Dockerfile")
    (tmp_path / "tools").mkdir()
    tools = FakeTensorRT(tmp_path / "tools")
    text = (CHECKOUT / "export" / "Dockerfile").read_text(encoding="utf-8")
    program, *arguments = re.findall(r'"([^"]+)"', text[text.rindex("CMD [") :])
    folders = {"/models": demo_repository, "/plans": tmp_path / "plans", "/cache": tmp_path / "cache"}
    command = [installed / "bin" / program, *(folders.get(part, part) for part in arguments)]
    environment = {"PATH": f"{tools.folder}:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo: built, version 1 is served" in done.stdout
    assert (tmp_path / "plans" / "demo_net" / "1" / "model.plan").is_file()


@pytest.mark.parametrize("dockerfile", ["server/Dockerfile", "export/Dockerfile"])
def test_an_image_holds_neither_torch_nor_ultralytics(install: Callable[[str], Path], dockerfile: str) -> None:
    packages = {path.name.lower() for path in install(dockerfile).glob("lib/python*/site-packages/*")}
    assert {"sightline", "numpy"} <= packages
    assert not packages & {"torch", "ultralytics", "torchvision"}
