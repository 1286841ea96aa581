"""The run's private folder: Triton's backends side by side, ours among them, and what they write while they run."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from sightline.contract import ONNX_BACKEND, TENSORRT_BACKEND
from sightline_server import environment
from sightline_server.engine_report import stage_report_model
from sightline_server.gpu import NO_GPUS, Gpus
from sightline_server.locate import TritonFiles
from sightline_server.options import ServerOptions
from sightline_server.repository import CONFIG_FILE, backend, with_parts

FOLDER_PREFIX = "sightline-server-"
STAND_INS = Path(__file__).parent / "backends"
NETWORK_BACKENDS = (ONNX_BACKEND, TENSORRT_BACKEND)
"""Those whose stand-ins compute from what lies on a GPU."""
_GPU_INPUTS = 'parameters { key: "FORCE_CPU_ONLY_INPUT_TENSORS" value { string_value: "no" } }'
_MALLOC = {
    # Decoded images are large and freed by other threads than made them: with glibc's eight arenas for each core, a
    # letterbox's memory grows to several times what it uses.
    "MALLOC_ARENA_MAX": "2",
    # What is free is kept for the next batch: where it goes back to the system between two, as it does until glibc has
    # seen enough, the system clears new memory for every picture, for 0.3 to 3 ms of a core.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),  # glibc's largest
    "MALLOC_TRIM_THRESHOLD_": str(128 * 1024**2),
}
_WARMUP = re.compile(r"^model_warmup \{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
_BATCH = re.compile(r"^  batch_size: (?!1$)\d", re.MULTILINE)
_BATCHING = re.compile(
    r"^dynamic_batching \{\n(  preferred_batch_size: \d+\n|  max_queue_delay_microseconds: \d+\n)*"
    r"  default_queue_policy \{\n  \}\n\}\n",
    re.MULTILINE,
)
"""As `sightline export` writes them; others stay."""
_UTILITIES = "triton_python_backend_utils.py"
_REPAIR = """

import c_python_backend_utils as _compiled
from sightline_server import numpy2 as _numpy2

_numpy2.repair(_compiled.Tensor)
"""


def stage(files: TritonFiles, gpus: Gpus = NO_GPUS) -> Path:
    """Make the run's folder; the caller removes it."""
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    try:
        _stage_python_backend(files, backends_folder(folder) / "python")
        shutil.copytree(
            STAND_INS, backends_folder(folder), ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
        )
        _stage_interpreter(files, folder)
        if gpus.library:
            # The Python backend asks for this name, which some drivers install with their headers only. Without it,
            # it would hand over all inputs in the host's memory.
            (folder / "lib" / "libcuda.so").symlink_to(gpus.library)
        (folder / "tmp").mkdir()
        stage_report_model(own_repository(folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def backends_folder(folder: Path) -> Path:
    """Where Triton finds its backends."""
    return folder / "backends"


def own_repository(folder: Path) -> Path:
    """The models that the embedded server adds to the user's."""
    return folder / "models"


def repository_view(folder: Path, options: ServerOptions, gpus: Gpus = NO_GPUS) -> Path:
    """The repository that Triton is given: links to the wanted models, with networks configured for this machine.

    On a GPU they are handed what lies there, on the CPU they are warmed up with a single picture. Where clients may
    load models that are added later it is the user's own repository, whose models are handed copies in the host's
    memory. Triton's own way to load named models would let every client load others.
    """
    if not options.models and options.allow_model_control:
        return options.repository.resolve()
    view = folder / "repository"
    view.mkdir(exist_ok=True)
    for name in _wanted(options):
        source = (options.repository / name).resolve()
        if backend(source) in NETWORK_BACKENDS:
            _link_with(source, view / name, _for_gpus if gpus.count else _for_cpu)
        else:
            (view / name).symlink_to(source)
    return view


def server_environment(
    folder: Path, files: TritonFiles, options: ServerOptions, gpus: Gpus = NO_GPUS
) -> dict[str, str]:
    """Environment of the server and of the processes that run its models."""
    inherited = dict(os.environ)
    if not gpus.count:
        # Where Triton saw GPUs, it would start instances for each of them.
        inherited["CUDA_VISIBLE_DEVICES"] = ""
    libraries = [str(folder / "lib"), str(files.libraries)]
    # Models run in another program, which finds this Python and its packages by these two alone.
    paths = [str(_interpreter_folder(folder)), *_split(inherited, "PATH")]
    modules = [*_our_folders(), *_split(inherited, "PYTHONPATH")]
    return {
        **inherited,
        "LD_LIBRARY_PATH": os.pathsep.join([*libraries, *_split(inherited, "LD_LIBRARY_PATH")]),
        "PATH": os.pathsep.join(paths),
        "PYTHONPATH": os.pathsep.join(modules),
        "PYTHONUNBUFFERED": "1",
        **{name: inherited.get(name, value) for name, value in _MALLOC.items()},
        # A process that is killed leaves its temporary files; here they go with the folder.
        "TMPDIR": str(folder / "tmp"),
        environment.RUN_FOLDER: str(folder),
        environment.ISOLATE_IMAGES: str(int(options.isolate_images)),
    }


def _wanted(options: ServerOptions) -> list[str]:
    """Folders of the repository that Triton is to see."""
    if options.models:
        return with_parts(options.repository, options.models)
    return sorted(entry.name for entry in options.repository.iterdir() if entry.is_dir())


def _link_with(source: Path, target: Path, configured: Callable[[str], str]) -> None:
    """A model whose files are links, but for the configuration."""
    target.mkdir()
    for entry in source.iterdir():
        if entry.name == CONFIG_FILE:
            (target / CONFIG_FILE).write_text(configured(entry.read_text(encoding="utf-8")), encoding="utf-8")
        else:
            (target / entry.name).symlink_to(entry)


def _for_gpus(config: str) -> str:
    """Letting GPU tensors through to Python."""
    return f"{config}\n{_GPU_INPUTS}\n"


def _for_cpu(config: str) -> str:
    """Without what is for batches, which are computed there picture by picture.

    Warm-ups in batches prepare nothing that a single picture does not, and take seconds. Batching would only have
    requests wait for others (a policy for the queue stays, and batching with it). And where they differ in shape, as
    those for rectangles do, Triton's batcher keeps a core busy with looking again and again whether the next one fits
    into the batch that waits for a free instance.
    """
    config = _WARMUP.sub(lambda found: "" if _BATCH.search(found[0]) else found[0], config)
    return _BATCHING.sub("", config)


def _stage_python_backend(files: TritonFiles, target: Path) -> None:
    target.mkdir(parents=True)
    # Triton follows no link out of a backend's folder for the library.
    shutil.copy(files.python_backend / "libtriton_python.so", target)
    utilities = (files.python_backend / _UTILITIES).read_text(encoding="utf-8")
    (target / _UTILITIES).write_text(utilities + _REPAIR, encoding="utf-8")
    # A copy, since a wheel's files are not always executable once unpacked.
    shutil.copy(files.stub, target)
    (target / files.stub.name).chmod(0o700)


def _stage_interpreter(files: TritonFiles, folder: Path) -> None:
    """A folder with nothing but this Python's library, and one with nothing but this Python as `python3`."""
    (folder / "lib").mkdir()
    (folder / "lib" / files.libpython.name).symlink_to(files.libpython)
    (folder / "bin").mkdir()
    (folder / "bin" / "python3").symlink_to(Path(sys.executable).resolve())


def _interpreter_folder(folder: Path) -> Path:
    """Where `python3` is this Python: a virtual environment is known by the folder that its program stands in."""
    in_virtual_environment = sys.prefix != sys.base_prefix
    return Path(sys.prefix) / "bin" if in_virtual_environment else folder / "bin"


def _our_folders() -> list[str]:
    """Folders that hold our own packages, which an editable installation keeps apart."""
    import sightline

    return [str(Path(str(module)).resolve().parents[1]) for module in (sightline.__file__, __file__)]


def _split(variables: dict[str, str], name: str) -> list[str]:
    return [entry for entry in variables.get(name, "").split(os.pathsep) if entry]
